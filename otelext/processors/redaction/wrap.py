"""Puts redaction around every exporter of a provider, whoever made it, now and when another is added."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from otelext.capture.failure import report_setup
from otelext.processors.placing import RECORDS, SPANS, put_once
from otelext.processors.redaction.exporters import (
    RedactingLogRecordExporter,
    RedactingSpanExporter,
    redact_reader,
)
from otelext.processors.redaction.rules import PROCESS
from otelext.processors.redaction.stand_in import (
    RedactedLogRecordProcessor,
    RedactedSpanProcessor,
    stand_in_for_spans,
)
from otelext.processors.redaction.written import WrittenNameProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

_OURS: Final = "otelext."
_MEMBERS: Final = (SPANS, RECORDS)
_DEPTH: Final = 3  # one of the user's holds one of the SDK's, which holds its exporter in a batch processor
_BATCHES: Final = "opentelemetry.sdk._shared_internal"
_PROCESSORS: Final = (SpanProcessor, LogRecordProcessor)
_REDACTING: Final = (RedactingSpanExporter, RedactingLogRecordExporter)
_WRAPPED: Final = "_otelext_redacts"
_ADD_SPANS: Final = "add_span_processor"
_ADD_RECORDS: Final = "add_log_record_processor"


def wrap_tracer_provider(provider: Any) -> bool:
    """Let nothing leave a tracer provider that is not redacted.

    Args:
        provider: Any tracer provider.

    Returns:
        Whether it holds; not for one that is not the SDK's.
    """
    active: Any = getattr(provider, "_active_span_processor", None)
    return _wrap_processors(provider, active, _ADD_SPANS, _span) and put_once(active, SPANS, WrittenNameProcessor)


def wrap_logger_provider(provider: Any) -> bool:
    """Let nothing leave a logger provider that is not redacted.

    Args:
        provider: Any logger provider.

    Returns:
        Whether it holds; not for one that is not the SDK's.
    """
    active = getattr(provider, "_multi_log_record_processor", None)
    return _wrap_processors(provider, active, _ADD_RECORDS, _log)


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
    if not _has_members(active):
        return False
    _wrap_members(active, add, wrap)
    _wrap_adding(provider, add, wrap)
    return True


def _has_members(processor: Any) -> bool:
    return any(isinstance(getattr(processor, members, None), tuple) for members in _MEMBERS)


def _wrap_members(active: Any, add: str, wrap: Callable[[Any], Any]) -> None:
    _wrap_adding(active, add, wrap)  # its own too: what is added to it later does not pass the provider
    for name in _MEMBERS:
        if isinstance(members := getattr(active, name, None), tuple):
            with getattr(active, "_lock", None) or nullcontext():  # the SDK offers appending alone
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
    try:
        setattr(provider, name, adding)
    except Exception as error:  # noqa: BLE001  # slots; what is there already is covered
        report_setup(
            "otelext can't cover what is added to a %s later (%s)",
            type(provider).__qualname__,
            type(error).__qualname__,
        )


def _span(processor: Any) -> Any:
    if _has_members(processor):
        _wrap_members(processor, _ADD_SPANS, _span)
        return processor
    if isinstance(processor, RedactedSpanProcessor) or _is_ours(processor):
        return processor
    if _swap(processor, SpanExporter, RedactingSpanExporter) or type(processor).on_end is SpanProcessor.on_end:
        return processor
    if not _may_stand_in(processor):
        return processor
    return stand_in_for_spans(processor)


def _log(processor: Any) -> Any:
    if _has_members(processor):
        _wrap_members(processor, _ADD_RECORDS, _log)
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


def _swap(holder: Any, kind: type, wrapper: Callable[[Any], Any]) -> bool:
    """Put `wrapper` around each exporter that a processor holds.

    Returns:
        Whether there was one, and all of them could be reached; otherwise all is as before.
    """
    try:
        places = _places(holder, kind)
    except _HiddenError:
        return False
    swapped = []
    try:
        for place, name, exporter in places:
            if not isinstance(exporter, _REDACTING):
                setattr(place, name, wrapper(exporter))
                swapped.append((place, name, exporter))
    except Exception:  # noqa: BLE001  # frozen ones, properties
        for place, name, exporter in swapped:
            setattr(place, name, exporter)
        return False
    return bool(places)


class _HiddenError(Exception):
    """An exporter is held where no other can be put in its place."""


def _places(holder: Any, kind: type, depth: int = _DEPTH) -> list[tuple[Any, str, Any]]:
    """The attributes that are exporters, each as the object that has it, its name and its value.

    Raises:
        _HiddenError: There are, or may be, others: in a list, by a method of theirs, in a processor that is not the SDK's.
    """
    found: list[tuple[Any, str, Any]] = []
    for name, value in tuple(getattr(holder, "__dict__", {}).items()):
        module = type(value).__module__
        if isinstance(value, kind):
            found.append((holder, name, value))
        elif depth > 1 and (
            module.startswith(_BATCHES) or (module.startswith("opentelemetry.sdk.") and isinstance(value, _PROCESSORS))
        ):
            reached = _places(value, kind, depth - 1)
            if not reached and isinstance(value, _PROCESSORS):
                raise _HiddenError
            found += reached
        elif any(isinstance(thing, (kind, *_PROCESSORS)) and thing is not holder for thing in _things(value)):
            raise _HiddenError
    return found


def _things(value: Any) -> tuple[object, ...]:
    """What an attribute gives access to: itself, what is in it, whose method it is."""
    if isinstance(value, dict):
        return tuple(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(value)
    return value, getattr(value, "__self__", None) if isinstance(value, MethodType) else None


def _is_ours(processor: object) -> bool:
    return type(processor).__module__.startswith(_OURS)


def _remember(unwrapped: object) -> str:
    kind = f"{type(unwrapped).__module__}.{type(unwrapped).__qualname__}"
    if kind not in PROCESS.unwrapped:
        PROCESS.unwrapped = (*PROCESS.unwrapped, kind)
    return kind


def _may_stand_in(processor: object) -> bool:
    kind = _remember(processor)
    # One message for each: the limit is by message.
    if PROCESS.rules.captures("unwrapped_exporters"):
        report_setup(
            f"otelext: {kind} has no exporter that redaction could be put around: it gets everything, as"
            " OTELEXT_CAPTURE=unwrapped_exporters asks"
        )
        return False
    report_setup(
        f"otelext: {kind} has no exporter that redaction could be put around: it is shown what may leave alone;"
        " OTELEXT_CAPTURE=unwrapped_exporters gives it everything"
    )
    return True
