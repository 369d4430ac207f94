"""Stages: named parts of an inference, each a span and a duration."""

from __future__ import annotations

import re
from contextlib import suppress
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from opentelemetry.trace import NonRecordingSpan, StatusCode

from otelext import semconv
from otelext.capture.baggage import NONE, read
from otelext.capture.binding import Binding, current_binding
from otelext.capture.context import SCOPE_KEY, SPAN_KEY, attach, enclosing, entered, get_current, leave, open_inference
from otelext.capture.failure import report
from otelext.capture.outcome import places, type_name
from otelext.capture.span import Span, start_span

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry import trace
    from opentelemetry.context import Context

    from otelext.capture.inference import Inference

_F = TypeVar("_F", bound="Callable[..., Any]")
_PATTERN: Final = re.compile(semconv.STAGE_NAME_PATTERN)
_MAX_REMEMBERED = 1024
_MAX_KEPT: Final = 1000
"""Stages that an inference keeps until its end; those after them are emitted as they end."""
_valid_names: set[str] = set(semconv.KNOWN_STAGES)


def name_error(name: object) -> str | None:
    """Why `name` can't be a stage's name, or None."""
    if not isinstance(name, str):
        return f"a stage's name is a str, not {name!r}"
    if name in _valid_names:
        return None
    if not _PATTERN.fullmatch(name) or name == semconv.UNATTRIBUTED_STAGE:
        return (
            f"{name!r} can't be a stage's name: use a lower-case letter followed by up to 63 of a-z, 0-9, '_', '.', '-'"
            f" (and not {semconv.UNATTRIBUTED_STAGE!r}, which is what belongs to no stage)"
        )
    if len(_valid_names) < _MAX_REMEMBERED:
        _valid_names.add(name)
    return None


class RunningStage:
    """The facts of one stage, from its start on.

    Attributes:
        name: The stage's name.
        inference: The inference that it belongs to, or None outside of any.
        binding: The providers it is emitted through.
        start_ns: Start, on `perf_counter_ns`.
        end_ns: End likewise, None while it runs.
        held_ns: Part of the time in which the consumer held a chunk, known at the end.
        top_level: Whether no other stage of the inference was around it, so that it counts in the breakdown.
        span: Its span; None where the provider records nothing and for the stage that a nested inference is.
        outer: The OpenTelemetry context around it.
        context: The context inside it.
        collected: Set by the worker once it took the facts, so that they are never taken twice.
    """

    __slots__ = (
        "_alone",
        "_held_before",
        "_wall_ns",
        "binding",
        "collected",
        "context",
        "end_ns",
        "held_ns",
        "inference",
        "name",
        "outer",
        "span",
        "start_ns",
        "top_level",
    )

    def __init__(self, name: str, inference: Inference | None, *, with_span: bool = True) -> None:
        self.start_ns = now = perf_counter_ns()
        self.name = name
        self.end_ns: int | None = None
        self.held_ns = 0
        self.collected = False
        self.outer = outer = get_current()
        scope = enclosing(outer)
        if inference is not None:
            if inference.end_ns is not None:
                inference = None
        elif scope is not None:
            inference = scope.owner
            if inference is None or inference.end_ns is not None:
                inference = open_inference(outer)
        self.inference = inference
        self.top_level = True
        self._alone = False
        parent_context = outer
        if inference is None:
            self.binding = current_binding()
            self._wall_ns = time_ns()
            self._held_before = 0
        else:
            self.binding = inference.binding
            self._wall_ns = inference.wall_ns + now - inference.start_ns
            self._held_before = inference.held_until(now)
            if scope is None or scope.owner is not inference:
                # In a thread or task that the inference's context did not reach.
                parent_context = inference.context
            else:
                self.top_level = scope is inference or scope.end_ns is not None
            # A stage a token would grow an inference without a bound; before the first token each one is needed.
            self._alone = inference.first_ns is not None and len(inference.stages) >= _MAX_KEPT
            if not self._alone:
                inference.stages.append(self)
            inference.let_go = False
        self.span: trace.Span | Span | None = None
        if with_span:
            try:
                self.span = self._start_span(parent_context)
            except Exception:  # noqa: BLE001  # a foreign tracer; the stage's duration is measured all the same
                report("otelext could not start a stage's span", exc_info=True)
        self.context = entered(parent_context, self, self.span)

    @property
    def owner(self) -> Inference | None:
        """The inference that this stage belongs to."""
        return self.inference

    def _start_span(self, context: Context) -> trace.Span | Span | None:
        binding = self.binding
        tracer = binding.tracer
        if tracer is None:
            return None
        attributes = {semconv.STAGE: self.name}
        inference = self.inference
        baggage = read(context) if inference is None else inference.baggage
        if baggage is not NONE:
            attributes.update(baggage)
        if not binding.light:
            return tracer.start_span(self.name, context, attributes=attributes, start_time=self._wall_ns)
        parent = context.get(SPAN_KEY)
        if type(parent) is Span and parent.end_time is None:
            ids: Any = tracer
            return parent.child(self.name, ids.id_generator.generate_span_id(), self._wall_ns, attributes)
        inference = self.inference
        if inference is not None and parent is inference.span and type(parent) is NonRecordingSpan:
            return None  # an unsampled inference: its own span goes on being the parent of what is below
        return start_span(binding, self.name, context, attributes, self._wall_ns)

    def hand_over(self, chunk: object) -> None:
        """A generator that is a stage yields: the stage goes on."""

    def resume(self) -> None:
        """A generator that is a stage is asked for more."""

    def succeed(self) -> None:
        """End without an error."""
        self._end(perf_counter_ns(), None)

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:  # noqa: ARG002
        """End by an exception. Only an `Exception` is an error; being cancelled or closed is none."""
        now = perf_counter_ns()
        if isinstance(exc, GeneratorExit) and self.inference is not None:
            # The generator around it was closed while its consumer held a chunk: it stood still since then.
            now = max(self.start_ns, self.inference.held_since or now)
        self._end(now, exc if isinstance(exc, Exception) else None)

    def _end(self, now: int, exc: Exception | None) -> None:
        if self.end_ns is not None:
            return
        inference = self.inference
        if inference is not None:
            # Less than before where an engine turned out to run ahead of its consumer: then nothing stood still.
            self.held_ns = max(0, inference.held_until(now) - self._held_before)
        self.end_ns = now
        try:
            if (span := self.span) is not None:
                if exc is None and type(span) is Span:
                    if span.end_time is None:
                        span.end_time = self._wall_ns + now - self.start_ns
                else:
                    end_span(span, self.wall(now), exc)
        except Exception:  # noqa: BLE001  # a foreign span
            report("otelext could not end a stage's span", exc_info=True)
        try:
            submit = self.binding.submit
            if submit is not None and (self._alone or inference is None or inference.end_ns is not None):
                submit(self)
        except Exception:  # noqa: BLE001  # telemetry never fails the user's stage
            report("otelext could not end a stage", exc_info=True)

    def end_with(self, inference_end_ns: int) -> None:
        """End because the process exits: the inference's end is the stage's."""
        self._end(inference_end_ns, None)

    def wall(self, moment_ns: int) -> int:
        """Unix time in nanoseconds of a moment on the stage's clock."""
        return self._wall_ns + moment_ns - self.start_ns


def end_span(span: trace.Span | Span, end_time: int, exc: BaseException | None) -> None:
    """End a span of either lane; an exception leaves its type and places, never its message."""
    if exc is not None and span.is_recording():
        kind = type_name(exc)
        span.set_attribute(semconv.ERROR_TYPE, kind)
        span.add_event(
            semconv.EXCEPTION_EVENT,
            {semconv.EXCEPTION_TYPE: kind, semconv.EXCEPTION_STACKTRACE: places(exc.__traceback__)},
            timestamp=end_time,
        )
        span.set_status(StatusCode.ERROR, kind)
    if type(span) is not Span or span.end_time is None:
        span.end(end_time)


class stage:  # noqa: N801  # used as a decorator and in `with`, as `contextlib.suppress` is
    """Measure a named part of an inference: a span, and its time in `vlm.stage.duration`.

    A decorator (functions, coroutines, generators, async generators, functions that return an iterator or a
    response with `body_iterator`), a context manager and an async context manager. Outside any inference it is
    still a span and a duration.

    Args:
        name: `fetch`, `decode_image`, `preprocess`, `queue`, `vision_encode`, `prefill`, `decode`, `detokenize`,
            `postprocess`, or any other lower-case name.
        inference: The inference that it belongs to; the current one if None. Give it where the context does not
            reach: in a thread or task of an engine.

    Raises:
        ValueError: At decoration, if `name` is not a stage's name. As a context manager it never raises: a bad
            name is logged and the stage counts as `other`.
        TypeError: At decoration, if `inference` is none.
    """

    __slots__ = ("__weakref__", "_error", "_inference", "_inference_error", "_name", "_running")

    def __init__(self, name: str, *, inference: Inference | None = None) -> None:
        self._error = name_error(name)
        self._name = name if self._error is None else semconv.OTHER
        self._inference_error: str | None = None
        if inference is not None and not hasattr(inference, "stages"):
            self._inference_error = f"inference is an otelext.Inference or None, not {inference!r}"
            inference = None
        self._inference = inference
        self._running: list[RunningStage | None] = []

    def __call__(self, function: _F) -> _F:
        """Decorate `function`."""
        from otelext.capture.decorate import decorate  # noqa: PLC0415  # decorate needs the classes of this module

        if self._error is not None:
            raise ValueError(self._error)
        if self._inference_error is not None:
            raise TypeError(self._inference_error)
        return decorate(function, self._begin)

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any], start_ns: int | None) -> RunningStage | None:  # noqa: ARG002
        try:
            if self._error is not None:
                report("otelext: %s", self._error)
            if self._inference_error is not None:
                report("otelext: %s", self._inference_error)
            return RunningStage(self._name, self._inference)
        except Exception:  # noqa: BLE001  # the user's code runs without the stage
            report("otelext could not start a stage", exc_info=True)
            return None

    def __enter__(self) -> None:
        running = self._begin((), {}, None)
        self._running.append(running)
        if running is not None:
            attach(running.context)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        running = self._pop()
        if running is None:
            return
        if exc is None:
            running.succeed()
        else:
            running.fail(exc)
        leave(running.context, running.outer)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, exc, tb)

    def __del__(self) -> None:
        # Entered by hand and never left, or in a frame that was dropped: ends with the object that could have ended it.
        for running in getattr(self, "_running", ()):
            if running is not None:
                running.fail(GeneratorExit())

    def _pop(self) -> RunningStage | None:
        running = self._running
        if len(running) > 1:
            # One object entered several times, perhaps by several threads or tasks: leave the one that runs here.
            scope: Any = get_current().get(SCOPE_KEY)
            with suppress(ValueError):
                running.remove(scope)
                return cast("RunningStage", scope)
        return running.pop() if running else None


__all__ = ["Binding", "RunningStage", "end_span", "name_error", "stage"]
