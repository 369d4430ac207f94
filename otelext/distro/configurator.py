"""The configurator: builds the global SDK providers as the environment says, and never raises."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk import _configuration
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.environment_variables import OTEL_CONFIG_FILE, OTEL_RESOURCE_ATTRIBUTES
from opentelemetry.sdk.resources import Resource

from otelext import semconv
from otelext._version import __version__
from otelext.capture.failure import report, report_setup
from otelext.distro import exporters, processes
from otelext.distro.request_log import RequestIdProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TRACES: Final = "traces"
METRICS: Final = "metrics"
LOGS: Final = "logs"
_PROVIDERS: Final[dict[str, Callable[[], Any]]] = {
    TRACES: trace.get_tracer_provider,
    METRICS: metrics.get_meter_provider,
    LOGS: _logs.get_logger_provider,
}

_OF_THE_SCHEMA: Final = "Configuration does not match schema: "
_PLACE: Final = r"\(at ([^()\n]*)\)$"
_LINE: Final = r"line \d+, column \d+"


class OtelextConfigurator(_OTelSDKConfigurator):
    """The SDK's own configurator, with what can't be had taken out first and our parts handed over."""

    def _configure(self, **kwargs: Any) -> None:
        if processes.is_disabled() or processes.is_bookkeeping():
            return
        absent = missing()
        try:
            if os.environ.get(OTEL_CONFIG_FILE):
                # Only the whole file can be applied, and only where no provider of the user's is in its way.
                if len(absent) == len(_PROVIDERS):
                    super()._configure()  # type: ignore[no-untyped-call]
                else:
                    report_setup(
                        "otelext: %s is not applied, since OpenTelemetry is configured already", OTEL_CONFIG_FILE
                    )
                return
            with exporters.available():
                if len(absent) == len(_PROVIDERS):
                    super()._configure(  # type: ignore[no-untyped-call]
                        **{
                            **kwargs,
                            "resource_attributes": {
                                **_distro(_named(os.environ.get(OTEL_RESOURCE_ATTRIBUTES, ""))),
                                **(kwargs.get("resource_attributes") or {}),
                            },
                            "exporter_args_map": {**exporters.arguments(), **kwargs.get("exporter_args_map", {})},
                            "log_record_processors": [
                                RequestIdProcessor(),
                                *(kwargs.get("log_record_processors") or ()),
                            ],
                        }
                    )
                else:
                    _add(absent)
        except Exception as error:  # noqa: BLE001  # the service runs on with what was configured so far
            config_file = os.environ.get(OTEL_CONFIG_FILE)
            if config_file:
                why = said_of_file(str(error)) or type(error).__name__
                report_setup("otelext: %s=%s can't be used: %s", OTEL_CONFIG_FILE, config_file, why)
            else:
                report("otelext could not configure the OpenTelemetry SDK", exc_info=True)


def said_of_file(message: str) -> str:
    """What may be said of a fault in a declarative file: parsers and schemas quote what they refuse, such as a token.

    Args:
        message: The message of its reader's exception.

    Returns:
        The first line and the place.
    """
    first = message.strip().partition("\n")[0]
    if first.startswith(_OF_THE_SCHEMA):
        place = re.search(_PLACE, message)
        return f"its schema does not allow what stands {f'at {place[1]}' if place is not None else 'in it'}"
    at = re.search(_LINE, message)
    return f"{first} ({at[0]})" if at is not None and at[0] not in first else first


def _distro(given: Iterable[str]) -> dict[str, Any]:
    """The resource attributes that name otelext, unless the keys that are `given` say that another is named."""
    ours = {semconv.DISTRO_NAME: semconv.SCOPE_NAME, semconv.DISTRO_VERSION: __version__}
    return {} if ours.keys() & set(given) else ours


def _named(pairs: str) -> set[str]:
    return {pair.partition("=")[0].strip() for pair in pairs.split(",")}


def missing() -> tuple[str, ...]:
    """The signals whose global provider nobody has set."""
    # The API's placeholders have no public name.
    return tuple(signal for signal, get in _PROVIDERS.items() if type(get()).__name__.lstrip("_").startswith("Proxy"))


def _add(absent: tuple[str, ...]) -> None:
    """Set the absent providers only, as the same service and instance as those that are there.

    The SDK's configurator sets all three at once; what it does for one has no public name.
    """
    resource = (
        next(
            (found for get in _PROVIDERS.values() if isinstance(found := getattr(get(), "resource", None), Resource)),
            None,
        )
        or Resource.create()
    )
    resource = Resource(_distro(resource.attributes)).merge(resource)
    spans, points, records = _configuration._import_exporters(  # noqa: SLF001
        *(_configuration._get_exporter_names(signal) if signal in absent else [] for signal in (TRACES, METRICS, LOGS))  # noqa: SLF001  # type: ignore[arg-type]
    )
    given: Any = exporters.arguments()
    if TRACES in absent:
        sampler = _configuration._import_sampler(_configuration._get_sampler())  # noqa: SLF001
        _configuration._init_tracing(spans, sampler=sampler, resource=resource, exporter_args_map=given)  # noqa: SLF001
    if METRICS in absent:
        _configuration._init_metrics(points, resource, given)  # noqa: SLF001
    if LOGS in absent:
        _configuration._init_logging(  # noqa: SLF001
            records,
            resource,
            setup_logging_handler=False,
            exporter_args_map=given,
            log_record_processors=[RequestIdProcessor()],
        )
