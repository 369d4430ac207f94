"""One item of each signal, sent to a Collector with the credentials that it asks for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import httpx

from otelext import semconv
from tests.stack import otlp_json

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.stack.backends import Prometheus
    from tests.stack.certificates import Certificates
    from tests.stack.collectors import Collector

TOKEN: Final = "the-right-token"


class Item:
    """A span, a data point and a log line of one service.

    Args:
        service: Its name.
        auth: What it has to show: `bearer`, `mtls`, or both.
    """

    def __init__(self, service: str, auth: Collection[str] = ()) -> None:
        self.service = service
        self.auth = auth
        self.trace_id = otlp_json.trace_id()
        self.resource = {
            semconv.SERVICE_NAME: self.service,
            "service.instance.id": "one",
            "telemetry.distro.name": "otelext",
        }

    def messages(self) -> dict[str, Any]:
        now = time.time_ns()
        point = {
            "startTimeUnixNano": str(now - 10**9),
            "timeUnixNano": str(now),
            "asInt": "7",
            "attributes": otlp_json.attributes({semconv.STAGE: "prefill"}),
        }
        counter = {
            "name": "rendered.items",
            "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]},
        }
        record = {"timeUnixNano": str(now), "body": {"stringValue": "a line"}, "traceId": self.trace_id}
        span = otlp_json.span(self.trace_id, "sent", {semconv.EXEMPLAR: True})
        return {
            "traces": otlp_json.traces([span], self.resource),
            "metrics": otlp_json.metrics([counter], self.resource),
            "logs": otlp_json.logs([record], self.resource),
        }

    def send(self, to: Collector, certificates: Certificates) -> None:
        """Over HTTP, with what the door asks for; without, nothing comes in."""
        url, more = to.otlp_http, {}
        if "mtls" in self.auth:
            url, more = url.replace("http:", "https:"), {"verify": certificates.context(certificates.client)}
        headers = {"authorization": f"Bearer {TOKEN}"} if "bearer" in self.auth else {}
        for signal, message in self.messages().items():
            if self.auth:
                assert refused(url, signal, message, certificates if "mtls" in self.auth else None), signal
            answer = otlp_json.post(url, signal, message, headers=headers, **more)
            assert answer.status_code == 200, (signal, answer.text)

    def series(self, prometheus: Prometheus) -> list[dict[str, Any]]:
        return prometheus.query(f'rendered_items_total{{service_name="{self.service}"}}')


def refused(url: str, signal: str, message: Any, certificates: Certificates | None) -> bool:
    try:
        more = {"verify": certificates.context(None)} if certificates else {}
        return otlp_json.post(url, signal, message, **more).status_code == 401
    except httpx.TransportError:
        return True
