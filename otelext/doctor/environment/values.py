"""Values that can't be taken: otelext's by its own parsing, the SDK's by what the pinned release does with them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelext.distro import config
from otelext.doctor.environment import plugins
from otelext.doctor.finding import Finding
from otelext.doctor.shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from otelext.doctor.environment.installed import Installed
    from otelext.doctor.finding import Level

CHECK: Final = "environment.value"
_LOST: Final = "The SDK refuses it when it starts: nothing of that signal, or nothing at all, is exported."
_DEFAULT: Final = "The SDK takes its default instead, with one line in the service's log."
_FALSE: Final = "Anything but true counts as false."
_RATIO_SAMPLERS: Final = frozenset({"traceidratio", "parentbased_traceidratio"})


@dataclass(frozen=True)
class Rule:
    """What a variable of the SDK's may be.

    Attributes:
        accepts: Whether a value can be taken as it is meant.
        right: What would be.
        example: A value to type.
        consequence: What becomes of another one.
        level: Of the finding.
        empty_counts: Whether an empty value is read as one, and not as not set.
    """

    accepts: Callable[[str], bool]
    right: str
    example: str
    consequence: str = _DEFAULT
    level: Level = "warning"
    empty_counts: bool = False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _is_switch(text: str) -> bool:
    return text.strip().lower() in {"true", "false"}


def _is_port(text: str) -> bool:
    return text.strip().isdecimal() and int(text) < 1 << 16


def _one_of(*values: str) -> Callable[[str], bool]:
    return lambda text: text in values


def _lowered(*values: str) -> Callable[[str], bool]:
    return lambda text: text.strip().lower() in values


_SWITCH: Final = Rule(_is_switch, "it is true or false", "true", _FALSE)
_COUNT: Final = Rule(_is_whole, "it is a whole number", "2048")
_LIMIT: Final = Rule(
    lambda text: not text.strip() or (_is_whole(text) and int(text) >= 0), "it is a whole number", "128", _LOST, "error"
)
_MILLISECONDS: Final = Rule(_is_number, "it is a number of milliseconds", "15000")
_SECONDS: Final = Rule(
    _is_number, "it is a number of seconds", "10", "Over gRPC exporters can't be made, over HTTP 10 are taken.", "error"
)

_TIMEOUTS: Final = tuple(f"OTEL_EXPORTER_OTLP_{signal}TIMEOUT" for signal in ("", "TRACES_", "METRICS_", "LOGS_"))
_LONGEST_TIMEOUT_S: Final = 1000
_SHORTEST_INTERVAL_MS: Final = 100

_RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(
        (
            "OTEL_SDK_DISABLED",
            "OTEL_PYTHON_LOG_CORRELATION",
            "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION",
            "OTEL_PYTHON_LOG_CODE_ATTRIBUTES",
            "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
            "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",
        ),
        _SWITCH,
    ),
    **dict.fromkeys(
        (
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_SPAN_EVENT_COUNT_LIMIT",
            "OTEL_SPAN_LINK_COUNT_LIMIT",
            "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        ),
        _LIMIT,
    ),
    **{
        f"OTEL_{processor}_{name}": _COUNT
        for processor in ("BSP", "BLRP")
        for name in ("MAX_QUEUE_SIZE", "SCHEDULE_DELAY", "MAX_EXPORT_BATCH_SIZE", "EXPORT_TIMEOUT")
    },
    "OTEL_METRIC_EXPORT_INTERVAL": _MILLISECONDS,
    "OTEL_METRIC_EXPORT_TIMEOUT": _MILLISECONDS,
    **dict.fromkeys(_TIMEOUTS, _SECONDS),
    "OTEL_METRICS_EXEMPLAR_FILTER": Rule(
        _one_of("trace_based", "always_on", "always_off"),
        "it is trace_based, always_on or always_off, in small letters",
        "trace_based",
        _LOST,
        "error",
        empty_counts=True,
    ),
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": Rule(
        _lowered("cumulative", "delta", "lowmemory"), "it is cumulative, delta or lowmemory", "cumulative"
    ),
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": Rule(
        _one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        "it is explicit_bucket_histogram or base2_exponential_bucket_histogram",
        "explicit_bucket_histogram",
    ),
    "OTEL_EXPORTER_PROMETHEUS_PORT": Rule(
        _is_port, "it is a port", "9464", "The metrics of the service can't be scraped.", "error"
    ),
    "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": Rule(
        _one_of("patch_all"), "it is patch_all", "patch_all", "Nothing is patched for gevent.", empty_counts=True
    ),
    "OTEL_PYTHON_LOG_LEVEL": Rule(
        _one_of("debug", "info", "warning", "error"), "it is debug, info, warning or error", "info"
    ),
}


def examine(environ: Mapping[str, str], here: Installed) -> Iterator[Finding]:
    """A finding for each value that is not taken as it is meant."""
    for fault in config.faults(environ):
        yield Finding(
            CHECK,
            "warning",
            f"{shown(fault.variable, fault.text)} is not valid: {fault.reason}",
            f"otelext takes {fault.taken or 'no value'} instead, with one line in the service's log.",
            f"export {fault.variable}={fault.taken}" if fault.taken else f"unset {fault.variable}",
        )
    for name, value in environ.items():
        rule = _RULES.get(name)
        if rule is not None and (value.strip() or (rule.empty_counts and not value)) and not rule.accepts(value):
            yield _refused(name, value, rule)
    yield from _signs(environ)
    yield from _units(environ)
    yield from plugins.examine(environ, here)
    yield from _ratio(environ)
    yield from _attributes(environ)


def _refused(name: str, value: str, rule: Rule) -> Finding:
    return Finding(
        CHECK,
        rule.level,
        f"{shown(name, value)} is not valid: {rule.right}",
        rule.consequence,
        f"export {name}={rule.example}" if value.strip() else f"unset {name}",
    )


def _signs(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Numbers that are no matter of a default: the SDK raises."""
    for processor in ("OTEL_BSP", "OTEL_BLRP"):
        sizes = {}
        for name, default in (("MAX_QUEUE_SIZE", 2048), ("SCHEDULE_DELAY", 1000), ("MAX_EXPORT_BATCH_SIZE", 512)):
            text = environ.get(f"{processor}_{name}", "")
            sizes[name] = int(text) if _is_whole(text) else default
            if sizes[name] <= 0:
                right = Rule(_is_whole, "it is more than 0", str(default), _LOST, "error")
                yield _refused(f"{processor}_{name}", text, right)
        queue, batch = sizes["MAX_QUEUE_SIZE"], sizes["MAX_EXPORT_BATCH_SIZE"]
        if 0 < queue < batch:
            yield Finding(
                CHECK,
                "error",
                f"{processor}_MAX_EXPORT_BATCH_SIZE is {batch}, more than the {queue} of {processor}_MAX_QUEUE_SIZE",
                _LOST,
                f"export {processor}_MAX_EXPORT_BATCH_SIZE={queue}",
            )
    interval = environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")
    # Beyond what a thread can wait for, the one that exports metrics ends in its first moment.
    if _is_number(interval) and not 0 < float(interval) / 1000 <= threading.TIMEOUT_MAX:
        right = Rule(_is_number, "it is more than 0 milliseconds, and some that pass", "15000", _LOST, "error")
        yield _refused("OTEL_METRIC_EXPORT_INTERVAL", interval, right)


def _units(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Seconds where milliseconds are meant, and the reverse: the SDK's time-outs are in seconds, the specification's not."""
    for name in _TIMEOUTS:
        text = environ.get(name, "")
        if _is_number(text) and float(text) >= _LONGEST_TIMEOUT_S:
            yield Finding(
                CHECK,
                "warning",
                f"{shown(name, text)} is {float(text) / 60:.0f} minutes: the Python SDK reads seconds",
                "The specification has milliseconds here, and other languages' SDKs read them so.",
                f"export {name}={float(text) / 1000:g}",
            )
    interval = environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")
    if _is_number(interval) and 0 < float(interval) < _SHORTEST_INTERVAL_MS:
        yield Finding(
            CHECK,
            "warning",
            f"{shown('OTEL_METRIC_EXPORT_INTERVAL', interval)} is in milliseconds, so that metrics leave"
            f" {1000 / float(interval):.0f} times a second",
            "Seconds were probably meant.",
            f"export OTEL_METRIC_EXPORT_INTERVAL={float(interval) * 1000:g}",
        )


def _ratio(environ: Mapping[str, str]) -> Iterator[Finding]:
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip()
    if sampler not in _RATIO_SAMPLERS:
        return
    value = environ.get("OTEL_TRACES_SAMPLER_ARG", "")
    if not _is_number(value) or not 0 <= float(value) <= 1:
        given = (
            shown("OTEL_TRACES_SAMPLER_ARG", value) if value.strip() else "OTEL_TRACES_SAMPLER_ARG is not set, which"
        )
        yield Finding(
            CHECK,
            "warning",
            f"{given} is no ratio for OTEL_TRACES_SAMPLER={sampler}: it is from 0 to 1",
            "The SDK keeps all traces then.",
            "export OTEL_TRACES_SAMPLER_ARG=0.1",
        )


def _attributes(environ: Mapping[str, str]) -> Iterator[Finding]:
    # A value may be anything, also a credential.
    for item in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, separator, _ = item.partition("=")
        if item.strip() and not (key.strip() and separator):
            yield Finding(
                CHECK,
                "warning",
                f"OTEL_RESOURCE_ATTRIBUTES holds {len(item.strip())} characters between commas that are no key=value",
                "What is not is left out. A comma in a value is written %2C.",
                "export OTEL_RESOURCE_ATTRIBUTES=service.version=1.2,deployment.environment.name=production",
            )
