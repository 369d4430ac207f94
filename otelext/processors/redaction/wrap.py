"""Puts redaction around every exporter of a provider, whoever made it, now and when another is added."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from otelext.capture.failure import report_setup
from otelext.processors.redaction.logs import RedactingLogRecordExporter
from otelext.processors.redaction.metrics import redact_reader
from otelext.processors.redaction.rules import PROCESS
from otelext.processors.redaction.spans import RedactingSpanExporter
from otelext.processors.redaction.stand_in import (
    RedactedLogRecordProcessor,
    RedactedSpanProcessor,
    stand_in_for_spans,
)
from otelext.processors.redaction.written import WrittenNameProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

_OURS: Final = "otelext."
_MEMBERS: Final = ("_span_processors", "_log_record_processors")
_DEPTH: Final = 2  # a processor of the SDK holds its exporter in a batch processor of its own
_WRAPPED: Final = "_otelext_redacts"


def wrap_tracer_provider(provider: Any) -> bool:
    """Let nothing leave a tracer provider that is not redacted.

    Args:
        provider: Any tracer provider.

    Returns:
        Whether it holds; not for one that is not the SDK's.
    """
    active: Any = getattr(provider, "_active_span_processor", None)
    if not _wrap_processors(provider, active, "add_span_processor", _span):
        return False
    with active._lock:  # noqa: SLF001  # the SDK offers appending alone
        members = active._span_processors  # noqa: SLF001
        if not any(isinstance(member, WrittenNameProcessor) for member in members):
            active._span_processors = (*members, WrittenNameProcessor())  # noqa: SLF001
    return True


def wrap_logger_provider(provider: Any) -> bool:
    """Let nothing leave a logger provider that is not redacted.

    Args:
        provider: Any logger provider.

    Returns:
        Whether it holds; not for one that is not the SDK's.
    """
    active = getattr(provider, "_multi_log_record_processor", None)
    return _wrap_processors(provider, active, "add_log_record_processor", _log)


def wrap_meter_provider(provider: Any) -> bool:
    """Let nothing leave a meter provider that is not redacted.

    Args:
        provider: Any meter provider.

    Returns:
        Whether it holds; not for one that is not the SDK's.
    """
    config = getattr(provider, "_sdk_config", None)
    if config is None:
        return False
    readers = {*getattr(config, "metric_readers", ()), *getattr(provider, "_metric_readers", ())}
    for reader in readers:
        _reader(reader)
    _wrap_adding(provider, "add_metric_reader", _reader)
    return True


def _wrap_processors(provider: Any, active: Any, add: str, wrap: Callable[[Any], Any]) -> bool:
    if active is None or not any(hasattr(active, members) for members in _MEMBERS):
        return False
    _wrap_members(active, wrap)
    _wrap_adding(provider, add, wrap)
    return True


def _wrap_members(active: Any, wrap: Callable[[Any], Any]) -> None:
    for name in _MEMBERS:
        if isinstance(members := getattr(active, name, None), tuple):
            with active._lock:  # noqa: SLF001  # the SDK offers appending alone
                members = getattr(active, name)
                wrapped = tuple(wrap(member) for member in members)
                if any(new is not old for new, old in zip(wrapped, members, strict=True)):
                    setattr(active, name, wrapped)


def _wrap_adding(provider: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    add = getattr(provider, name, None)
    if add is None or getattr(add, _WRAPPED, False):
        return

    @functools.wraps(add)
    def adding(member: Any, *args: Any, **kwargs: Any) -> Any:
        return add(wrap(member), *args, **kwargs)

    setattr(adding, _WRAPPED, True)
    setattr(provider, name, adding)


def _span(processor: Any) -> Any:
    if any(hasattr(processor, members) for members in _MEMBERS):
        _wrap_members(processor, _span)
        return processor
    if isinstance(processor, RedactedSpanProcessor) or _is_ours(processor):
        return processor
    if _swap(processor, SpanExporter, RedactingSpanExporter) or type(processor).on_end is SpanProcessor.on_end:
        return processor
    if not _may_stand_in(processor):
        return processor
    return stand_in_for_spans(processor)


def _log(processor: Any) -> Any:
    if any(hasattr(processor, members) for members in _MEMBERS):
        _wrap_members(processor, _log)
        return processor
    if isinstance(processor, RedactedLogRecordProcessor) or _is_ours(processor):
        return processor
    if _swap(processor, LogRecordExporter, RedactingLogRecordExporter):
        return processor
    if not _may_stand_in(processor):
        return processor
    return RedactedLogRecordProcessor(processor)


def _reader(reader: Any) -> Any:
    if isinstance(reader, MetricReader) and not redact_reader(reader):
        _remember(reader)
    return reader


def _swap(holder: Any, kind: type, wrapper: Callable[[Any], Any], depth: int = _DEPTH) -> bool:
    """Put `wrapper` around each exporter that a processor holds.

    Returns:
        Whether there was one.
    """
    found = False
    for name, value in tuple(getattr(holder, "__dict__", {}).items()):
        if isinstance(value, kind):
            found = True
            if not isinstance(value, (RedactingSpanExporter, RedactingLogRecordExporter)):
                setattr(holder, name, wrapper(value))
        elif depth > 1 and type(value).__module__.startswith("opentelemetry.sdk."):
            found = _swap(value, kind, wrapper, depth - 1) or found
    return found


def _is_ours(processor: object) -> bool:
    return type(processor).__module__.startswith(_OURS)


def _remember(unwrapped: object) -> str:
    kind = f"{type(unwrapped).__module__}.{type(unwrapped).__qualname__}"
    if kind not in PROCESS.unwrapped:
        PROCESS.unwrapped = (*PROCESS.unwrapped, kind)
    return kind


def _may_stand_in(processor: object) -> bool:
    kind = _remember(processor)
    if PROCESS.rules.captures("unwrapped_exporters"):
        report_setup(
            "otelext: %s has no exporter that redaction could be put around: it gets everything, as"
            " OTELEXT_CAPTURE=unwrapped_exporters asks",
            kind,
        )
        return False
    report_setup(
        "otelext: %s has no exporter that redaction could be put around: it is shown what may leave alone;"
        " OTELEXT_CAPTURE=unwrapped_exporters gives it everything",
        kind,
    )
    return True
