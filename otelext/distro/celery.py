"""Celery: a task carries the ids of the request that caused it, through Celery's own signals and a header of ours.

https://docs.celeryq.dev/en/stable/userguide/signals.html. What goes along is the request's id, the baggage that is the
service's own, and the trace's context, which is used only where no instrumentation of Celery has brought one. Who can
write to the broker can say what they like in it, as in every argument of a task.
"""

from __future__ import annotations

import re
import sys
from time import perf_counter_ns
from typing import Any, Final

from opentelemetry.context import Context, attach, get_current, set_value
from opentelemetry.trace import SpanKind, get_current_span, set_span_in_context

from otelext import semconv
from otelext.capture.baggage import BAGGAGE, MAX_ENTRIES, MAX_LENGTH, read, whose
from otelext.capture.context import REQUEST_KEY
from otelext.capture.failure import report
from otelext.capture.request import Request, request_of
from otelext.distro.awaited import when_imported
from otelext.logs import install

_SIGNALS: Final = "celery.signals"
_HEADER: Final = "otelext"
"""The message header; Celery makes it an attribute of the running task's `request`."""
_REQUEST: Final = "request"
_BAGGAGE: Final = "baggage"
_TRACE: Final = "trace"
_MAX_RUNNING: Final = 10_000

_RUNNING: Final[dict[str, tuple[Context, Context]]] = {}
"""The context of each task that runs, and the one around it, by the task's id."""


def prepare() -> None:
    """Connect to Celery's signals, now or as soon as they are imported."""
    when_imported(_SIGNALS, _connect)


def settle() -> None:
    """Stand behind an instrumentation of Celery that was connected meanwhile. Call it behind all of them."""
    if (signals := sys.modules.get(_SIGNALS)) is not None:
        _connect(signals)


def _connect(signals: Any) -> None:
    """Connect, or move behind the other receivers.

    An instrumentation attaches a context that it makes of the message alone: ours goes on top of it. Processes of a
    pool may be instrumented as they start, which is why it is done once more there.
    """
    for signal, receiver in (
        (signals.worker_init, _worker_starts),
        (signals.worker_process_init, _worker_starts),
        (signals.after_setup_logger, _logging_is_set_up),
        (signals.after_setup_task_logger, _logging_is_set_up),
        (signals.before_task_publish, _before_publish),
        (signals.task_prerun, _before_run),
        (signals.task_postrun, _after_run),
    ):
        signal.disconnect(receiver)
        signal.connect(receiver, weak=False)


def _worker_starts(**_: Any) -> None:
    settle()
    install.settle()


def _logging_is_set_up(**_: Any) -> None:
    """By default it is Celery's alone: it takes all handlers off the root."""
    install.settle()


def _before_publish(headers: Any = None, **_: Any) -> None:
    try:
        carried = _carried(get_current())
        if carried and isinstance(headers, dict):
            headers[_HEADER] = carried
    except Exception:  # noqa: BLE001  # the task is published without
        report("otelext could not put the request's ids into a Celery message", exc_info=True)


def _carried(context: Context) -> dict[str, Any]:
    carried: dict[str, Any] = {}
    request = request_of(context)
    if request is not None and request.request_id is not None:
        carried[_REQUEST] = request.request_id
    if baggage := read(context):
        carried[_BAGGAGE] = dict(baggage)
    if get_current_span(context).get_span_context().is_valid:
        headers: dict[str, str] = {}
        _propagator().inject(headers, context)
        carried[_TRACE] = headers
    return carried


def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415  # only where there are tasks
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator()


def _before_run(task_id: Any = None, task: Any = None, **_: Any) -> None:
    try:
        carried = getattr(task.request, _HEADER, None)
        if isinstance(carried, dict) and len(_RUNNING) < _MAX_RUNNING:
            outer = get_current()
            inner = _inside(outer, carried)
            if inner is not outer:
                _RUNNING[task_id] = inner, outer
                attach(inner)
                _describe(inner)
    except Exception:  # noqa: BLE001  # the task runs without
        report("otelext could not give a Celery task the ids of its request", exc_info=True)


def _inside(context: Context, carried: dict[str, Any]) -> Context:
    trace = carried.get(_TRACE)
    if isinstance(trace, dict) and not get_current_span(context).get_span_context().is_valid:
        headers = {key: value for key, value in trace.items() if isinstance(value, str)}
        span = get_current_span(_propagator().extract(headers, Context()))
        if span.get_span_context().is_valid:
            context = set_span_in_context(span, context)
    request_id = carried.get(_REQUEST)
    if isinstance(request_id, str) and re.fullmatch(semconv.REQUEST_ID_PATTERN, request_id):
        request = Request(perf_counter_ns(), request_id)
        request.admitted = True  # the time in the queue is no admission
        context = set_value(REQUEST_KEY, request, context)
    baggage = carried.get(_BAGGAGE)
    if isinstance(baggage, dict):
        from opentelemetry.baggage import set_baggage  # noqa: PLC0415  # as above

        for key in BAGGAGE.keys[:MAX_ENTRIES]:
            value = baggage.get(key)
            if type(value) is str and len(value) <= MAX_LENGTH:
                context = set_baggage(key, value, context)
    return context


def _describe(context: Context) -> None:
    """Put on the task's own span, which has started already, what would be on it."""
    span: Any = get_current_span(context)
    if getattr(span, "kind", None) is not SpanKind.CONSUMER or not span.is_recording():
        return
    span.set_attributes(whose(context))


def _after_run(task_id: Any = None, **_: Any) -> None:
    try:
        inner, outer = _RUNNING.pop(task_id, (None, None))
        # Not where an instrumentation has gone back already, to what was around it.
        if inner is not None and outer is not None and get_current() is inner:
            attach(outer)  # set, not reset by a token: see otelext.capture.context
    except Exception:  # noqa: BLE001  # the next task runs
        report("otelext could not leave the context of a Celery task", exc_info=True)
