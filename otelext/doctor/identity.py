"""Which known server answers at an address that was meant to be a receiver's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.doctor.backends.api import Api, UnansweredError
from otelext.doctor.settings import Access

if TYPE_CHECKING:
    from otelext.doctor.endpoint import Endpoint

# Where each answers, and with what; no other server answers so.
_KNOWN: Final = (
    ("Prometheus", "/-/ready", "Prometheus Server is Ready"),
    ("Alertmanager", "/api/v2/status", '"versionInfo"'),
    ("Grafana", "/api/health", '"database"'),
    ("Loki", "/services", "ingester"),
    ("Jaeger's page and API", "/api/services", '"total"'),
    ("a Collector's health check", "/", '"Server available"'),
    ("an otelext viewer's report", "/", "report_port"),
)


def identity(endpoint: Endpoint) -> str | None:
    """The name of the server at an endpoint's port, None where it is none that is known.

    Nothing is sent but requests to read, and no header of the exporters'.
    """
    # Whoever is asked for a name need not be trusted with anything.
    with Api(Access("prometheus", endpoint.base)) as api:
        for name, path, mark in _KNOWN:
            try:
                response = api.get(path)
            except UnansweredError:
                return None
            if mark in response.text[:20_000]:
                return name
    return None
