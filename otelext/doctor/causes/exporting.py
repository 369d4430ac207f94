"""Why something that the Collector accepted did not reach its backend, by what the Collector says of itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.doctor.causes.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otelext.doctor.collectors import Failure, Telemetry
    from otelext.doctor.endpoint import Signal

LOG: Final = (
    "docker compose -f docker-compose.otel.yml logs collector   (or logs/collector.log in the folder of processes.sh)"
)
# In the words of Go, of gRPC and of the Collector's exporters; numbers stand alone, as ports hold them too.
_UNREACHED: Final = re.compile(
    r"connection refused|no such host|no route to host|network is unreachable|i/o timeout|deadline ?exceeded"
    r"|connection reset|transport is closing|name resolver error|server misbehaving|\beof\b"
)
_REFUSED: Final = re.compile(r"unauthenticated|permissiondenied|unauthorized|forbidden|no org id|\b40[13]\b")
_NO_SPACE: Final = re.compile(r"no space left|disk quota|disk full|input/output error")
_MISSING: Final = re.compile(r"unimplemented|unknown service|\b40[45]\b")
_TLS: Final = re.compile(r"certificate|tls:|first record does not look like|http response to https")


def by_log(signal: Signal, backend: str, telemetry: Telemetry) -> Cause | None:
    """By what the Collector's log says of a failing exporter, None where it says nothing.

    Args:
        signal: Which was not found.
        backend: Where it was looked for, as people call it.
        telemetry: What the Collector says of itself.
    """
    return next(
        _by_errors(signal, backend, telemetry, (one for one in _failures(signal, telemetry) if one.recent)), None
    )


def by_queue(signal: Signal, backend: str, telemetry: Telemetry) -> Cause | None:
    """By what waits in a queue, and what was logged of that; arguments as of `by_log`."""
    for exporter, size in telemetry.queued.get(signal, {}).items():
        ours = (one for one in _failures(signal, telemetry) if one.exporter == exporter and not one.dropped)
        for found in _by_errors(signal, backend, telemetry, ours):
            return found
        return Cause(
            f"it waits in the queue of the Collector's {exporter}: {backend} does not take it where that exporter sends",
            LOG,
            (f'otelcol_exporter_queue_size{{exporter="{exporter}"}} is {size:.0f}',),
        )
    return None


def by_losses(signal: Signal, telemetry: Telemetry) -> Cause | None:
    """By what was given up or removed; arguments as of `by_log`."""
    for exporter, items in telemetry.given_up.get(signal, {}).items():
        return Cause(
            f"the Collector's {exporter} was refused for good and dropped what it had",
            LOG,
            (f"{items:.0f} items were given up in the last 5 minutes",),
        )
    for name, items in telemetry.filtered.get(signal, {}).items():
        return Cause(
            f"the Collector's {name} removes items, and this one may be among them",
            LOG,
            (f"{items:.0f} items were removed in the last 5 minutes",),
        )
    return None


def is_not_found(signal: Signal, telemetry: Telemetry) -> bool:
    """Whether an exporter was answered that there is no such thing where it sends; arguments as of `by_log`."""
    return any(_MISSING.search(one.error.lower()) for one in _failures(signal, telemetry) if one.recent)


def unknown(backend: str, telemetry: Telemetry, waited: float) -> Cause:
    """Where nothing says why."""
    untold = "" if telemetry.known else ", and Prometheus and Loki have nothing that the Collector says of itself"
    return Cause(
        f"the receiver accepted it, and {backend} did not show it within {waited:g} s{untold}: it waits on the way, or"
        " goes elsewhere",
        LOG,
    )


def _failures(signal: Signal, telemetry: Telemetry) -> tuple[Failure, ...]:
    return telemetry.failures.get(signal, ())


def _by_errors(signal: Signal, backend: str, telemetry: Telemetry, failures: Iterable[Failure]) -> Iterator[Cause]:
    for failure in failures:
        waits = _waits(failure, telemetry.queued.get(signal, {}).get(failure.exporter))
        found = _by_error(failure, backend, waits)
        if found is not None:
            yield found._replace(evidence=(f"the Collector's {failure.exporter} logs: {failure.error}",))


def _by_error(failure: Failure, backend: str, waits: str) -> Cause | None:
    """By the words of an exporter's error."""
    error, exporter = failure.error.lower(), failure.exporter
    variable = {"Loki": "LOGS", "Prometheus": "METRICS", "Mimir": "METRICS"}.get(backend, "TRACES")
    if _NO_SPACE.search(error):
        return Cause(
            f"{backend}'s disk is full: it can't write what the Collector's {exporter} sends; {waits}",
            "df -h   (where its data lies; then give it space, or keep less: TELEMETRY_RETENTION)",
        )
    if _TLS.search(error):
        return Cause(
            f"the Collector's {exporter} and {backend} do not agree on TLS; {waits}",
            f"export OTELEXT_COLLECTOR_{variable}_ENDPOINT=...   (http:// or https://, and tls: of the exporter)",
        )
    if _UNREACHED.search(error):
        return Cause(
            f"the Collector's {exporter} does not reach {backend}: it is down, or the exporter's address is wrong; {waits}",
            f"docker compose -f docker-compose.otel.yml up --detach {backend.lower()}   (or correct"
            f" OTELEXT_COLLECTOR_{variable}_ENDPOINT)",
        )
    if _REFUSED.search(error):
        return Cause(
            f"{backend} refuses the credentials of the Collector's {exporter}; {waits}",
            f"export OTELEXT_COLLECTOR_{variable}_HEADERS='{{Authorization: Bearer TOKEN}}'",
        )
    if _MISSING.search(error):
        return Cause(
            f"what the Collector's {exporter} sends to takes no OTLP there; {waits}",
            f"export OTELEXT_COLLECTOR_{variable}_ENDPOINT=...   (the address and path of {backend}'s OTLP)",
        )
    if failure.error:
        return Cause(f"{backend} does not take what the Collector's {exporter} sends; {waits}", LOG)
    return None


def _waits(failure: Failure, size: float | None) -> str:
    if failure.dropped:
        return "it was dropped, as trying again would not help"
    return "it waits in the exporter's queue" + (f", which holds {size:.0f}" if size else "")
