"""One inference: the facts of a request to a model, from its start to its single end."""

from __future__ import annotations

import sys
import weakref
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from opentelemetry.context import Context

from otelext import semconv
from otelext.capture import timing
from otelext.capture.arguments import cost_of, count_of, text_of
from otelext.capture.baggage import NONE, read
from otelext.capture.binding import Binding, current_binding
from otelext.capture.context import entered, get_current, open_inference
from otelext.capture.delivery import Delivery
from otelext.capture.failure import report
from otelext.capture.outcome import outcome_of, type_name
from otelext.capture.request import Request, request_of
from otelext.capture.span import Span, start_span
from otelext.capture.stage import RunningStage, end_span, stage
from otelext.capture.stream import stream_of
from otelext.semconv import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence

    from opentelemetry import trace
    from opentelemetry.util.types import AttributeValue

_T = TypeVar("_T")

_FAILED: Final = (Outcome.ERROR, Outcome.TIMEOUT)

OPEN: Final[set[Inference]] = set()
"""Inferences that are running. Taking one out is what ends it: a set does that once, whoever comes first."""


class Inference(Delivery):
    """The facts of one inference, which `current_inference()` and `with otelext.inference(...)` give.

    Times are integer nanoseconds on `perf_counter_ns` inside and seconds in the public readings. Methods never
    raise; a bad argument is logged and left out. After the end nothing changes any more.
    """

    __slots__ = (
        "__weakref__",
        "_task",
        "admission_ns",
        "baggage",
        "binding",
        "cached_input_tokens",
        "collected",
        "context",
        "cost",
        "document_type",
        "error_type",
        "fields",
        "finish_reasons",
        "first_name",
        "height",
        "image_tokens",
        "images",
        "input_tokens",
        "mismatches",
        "model",
        "model_version",
        "operation",
        "outcome_given",
        "outer",
        "outer_stage",
        "output_tokens_reported",
        "pages",
        "pixels",
        "provider",
        "request",
        "response_model",
        "settled",
        "span",
        "start_ns",
        "text_tokens",
        "wall_ns",
        "width",
    )

    def __init__(
        self,
        operation: str,
        *,
        model: str | None = None,
        provider: str | None = None,
        model_version: str | None = None,
        tokens: Callable[[Any], int] | None = None,
        start_ns: int | None = None,
        binding: Binding | None = None,
    ) -> None:
        super().__init__(tokens)
        # Before the clock: attaching to new providers, once, is not the request's time.
        self.binding = current_binding() if binding is None else binding
        now = perf_counter_ns()
        self.wall_ns = time_ns()
        if start_ns is None:
            start_ns = now
        else:
            self.wall_ns -= now - start_ns
        self.start_ns = start_ns
        self.operation = operation
        self.model = model
        self.provider = provider
        self.model_version = model_version
        self.first_name = self.span_name
        self.collected = False
        self.settled: Outcome | None = None
        self.outcome_given: Outcome | None = None
        self.error_type: str | None = None
        self.images: int | None = None
        self.pages: int | None = None
        self.pixels: int | None = None
        self.image_tokens: int | None = None
        self.text_tokens: int | None = None
        self.input_tokens: int | None = None
        self.output_tokens_reported: int | None = None
        self.cached_input_tokens: int | None = None
        self.response_model: str | None = None
        self.finish_reasons: tuple[str, ...] | None = None
        self.document_type: str | None = None
        self.width: int | None = None
        self.height: int | None = None
        self.fields: int | None = None
        self.cost: float | None = None
        self.mismatches: dict[str, None] | None = None
        self._task: Any = None
        self.admission_ns: int | None = None
        self.outer_stage: RunningStage | None = None
        self.span: trace.Span | Span | None = None
        self.request: Request | None = None
        if binding is not None:  # the inert one
            self.baggage = NONE
            self.outer = self.context = Context()
            self.end_ns = self.start_ns
            return
        self._open()

    def _open(self) -> None:
        binding = self.binding
        self.outer = outer = get_current()
        self.request = request = request_of(outer)
        if request is not None and not request.admitted:
            request.admitted = True
            self.admission_ns = max(0, self.start_ns - request.entered_ns)
        self.baggage = baggage = read(outer)
        if (around := open_inference(outer)) is not None:
            # To the inference around it, this one is a stage named by its operation.
            self.outer_stage = RunningStage(self.operation, around, with_span=False)
        if (tracer := binding.tracer) is not None:
            attributes = {semconv.OPERATION: self.operation}
            if self.provider is not None:
                attributes[semconv.PROVIDER] = self.provider
            if self.model is not None:
                attributes[semconv.REQUEST_MODEL] = self.model
            if baggage is not NONE:
                attributes.update(baggage)
            try:
                if binding.light:
                    self.span = start_span(binding, self.span_name, outer, attributes, self.wall_ns)
                else:
                    self.span = tracer.start_span(self.span_name, outer, attributes=attributes, start_time=self.wall_ns)
            except Exception:  # noqa: BLE001  # a foreign tracer; metrics need no span
                report("otelext could not start an inference's span", exc_info=True)
        self.context = entered(outer, self, self.span)
        OPEN.add(self)

    # --- facts that the user gives ----------------------------------------------------------------

    def set_model(self, name: str, version: str | None = None) -> None:
        """Replace the model, until the first chunk that holds output.

        Args:
            name: The model that really answers.
            version: Its revision or adapter.
        """
        if self.end_ns is not None:
            return
        if self.first_ns is not None:
            report("otelext: set_model(%r) came after the first token and was left out", name)
            return
        self.model = text_of("model", name, self.model)
        if version is not None:
            self.model_version = text_of("version", version, self.model_version)

    def set_input(
        self,
        *,
        images: int | None = None,
        pages: int | None = None,
        pixels: int | None = None,
        image_tokens: int | None = None,
        text_tokens: int | None = None,
    ) -> None:
        """Say what went in; what is left out keeps its value.

        Args:
            images: Number of images.
            pages: Number of document pages.
            pixels: Pixels of all images together.
            image_tokens: Input tokens that carry images.
            text_tokens: Input tokens that carry text.
        """
        if self.end_ns is not None:
            return
        self.images = count_of("images", images, self.images)
        self.pages = count_of("pages", pages, self.pages)
        self.pixels = count_of("pixels", pixels, self.pixels)
        self.image_tokens = count_of("image_tokens", image_tokens, self.image_tokens)
        self.text_tokens = count_of("text_tokens", text_tokens, self.text_tokens)

    def set_usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
    ) -> None:
        """Say what the engine reports as used; reported output tokens go before counted ones.

        Args:
            input_tokens: All input tokens, cached and image tokens among them.
            output_tokens: Generated tokens.
            cached_input_tokens: Part of the input that came from a prefix cache.
        """
        if self.end_ns is not None:
            return
        self.input_tokens = count_of("input_tokens", input_tokens, self.input_tokens)
        self.output_tokens_reported = count_of("output_tokens", output_tokens, self.output_tokens_reported)
        self.cached_input_tokens = count_of("cached_input_tokens", cached_input_tokens, self.cached_input_tokens)

    def set_response(self, *, model: str | None = None, finish_reasons: Sequence[str] | None = None) -> None:
        """Say what came back, for the span and the log line.

        Args:
            model: The model that the engine says it used.
            finish_reasons: Why each choice stopped.
        """
        if self.end_ns is not None:
            return
        self.response_model = text_of("model", model, self.response_model)
        if finish_reasons is not None:
            reasons = (finish_reasons,) if isinstance(finish_reasons, str) else finish_reasons
            try:
                self.finish_reasons = tuple(str(reason) for reason in reasons)
            except Exception:  # noqa: BLE001  # iterating and `str` are the caller's
                report("otelext: finish_reasons is a sequence of str, not %r; it was left out", finish_reasons)

    def set_document(
        self,
        *,
        type: str | None = None,  # noqa: A002  # the attribute is vlm.document_type
        width: int | None = None,
        height: int | None = None,
        fields: int | None = None,
    ) -> None:
        """Say which document was read, for the span and the log line.

        Args:
            type: Kind of document, out of a small set (`receipt`, `claim`, ...).
            width: Width of the page in pixels.
            height: Height likewise.
            fields: Number of fields that were recognised.
        """
        if self.end_ns is not None:
            return
        self.document_type = text_of("type", type, self.document_type)
        self.width = count_of("width", width, self.width)
        self.height = count_of("height", height, self.height)
        self.fields = count_of("fields", fields, self.fields)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set an attribute of the span; it never reaches a metric.

        Args:
            key: Name of the attribute.
            value: What OpenTelemetry takes as an attribute's value.
        """
        if self.end_ns is None and (span := self.span) is not None:
            try:
                if span.is_recording():
                    span.set_attribute(key, value)
            except Exception:  # noqa: BLE001  # a foreign provider's span may raise
                report("otelext could not set an attribute", exc_info=True)

    def set_outcome(self, outcome: Outcome) -> None:
        """Decide the outcome, before any other rule.

        Args:
            outcome: The outcome, or its value.
        """
        if self.end_ns is not None:
            return
        try:
            self.outcome_given = Outcome(outcome)
        except ValueError:
            report("otelext: %r is no outcome; it is one of %s", outcome, ", ".join(o.value for o in Outcome))

    def set_cost(self, usd: float) -> None:
        """Say what this inference cost; several calls add up.

        Args:
            usd: US dollars, not negative.
        """
        if self.end_ns is not None:
            return
        amount = cost_of(usd)
        if amount is not None:
            self.cost = (self.cost or 0.0) + amount

    def note_mismatch(self, field: str) -> None:
        """Keep the name of a critical field that was recognised wrongly, for the log line.

        Args:
            field: Its name, never its value. Beyond 50 names it is kept as `other`.
        """
        if self.end_ns is not None:
            return
        found = self.mismatches
        if found is None:  # no call in between, hence no other thread
            found = self.mismatches = {}
        if field not in found and len(found) >= semconv.MAX_VALUES:
            field = semconv.OTHER
        found[field] = None

    def stage(self, name: str) -> stage:
        """A stage of this inference, for a thread, task or queue that its context does not reach.

        Args:
            name: As for `otelext.stage`.
        """
        return stage(name, inference=self)

    @overload
    def stream(self, iterable: AsyncIterable[_T], tokens: Callable[[_T], int] | None = None) -> AsyncIterator[_T]: ...

    @overload
    def stream(self, iterable: Iterable[_T], tokens: Callable[[_T], int] | None = None) -> Iterator[_T]: ...

    def stream(
        self, iterable: Iterable[Any] | AsyncIterable[Any], tokens: Callable[[Any], int] | None = None
    ) -> Iterator[Any] | AsyncIterator[Any]:
        """Measure an iterator that the function does not yield itself.

        Args:
            iterable: Chunks of an engine's answer; iterated once.
            tokens: Tokens of a chunk, 0 where it holds no output; the inference's own rule if None.

        Returns:
            An iterator, or an async iterator for an async iterable, over the same chunks.
        """
        return stream_of(self, iterable, tokens)

    # --- readings ---------------------------------------------------------------------------------

    @property
    def ttft(self) -> float | None:
        """Time to first token in seconds, None until it came."""
        return None if self.first_ns is None else (self.first_ns - self.start_ns) / 1e9

    @property
    def tpot(self) -> float | None:
        """Time per output token in seconds, None while or where there is none."""
        return timing.tpot(self)

    @property
    def breakdown(self) -> dict[str, float] | None:
        """Seconds of the time to first token by stage, with `unattributed`; None until the first token."""
        parts = timing.breakdown_ns(self)
        return None if parts is None else {name: ns / 1e9 for name, ns in parts.items()}

    @property
    def outcome(self) -> Outcome | None:
        """How the inference ended, None while it runs."""
        return self.settled

    @property
    def output_tokens(self) -> int | None:
        """Output tokens so far: reported, else counted, else chunks; None where there is nothing to tell."""
        return timing.output_tokens(self)

    @property
    def span_name(self) -> str:
        """`{operation} {model}`, as the GenAI convention names spans."""
        return self.operation if self.model is None else f"{self.operation} {self.model}"

    @property
    def owner(self) -> Inference:
        """This inference, as a scope."""
        return self

    # --- its end ----------------------------------------------------------------------------------

    def remember_task(self) -> None:
        """Keep the asyncio task that runs this inference, for what is said of it at exit."""
        asyncio = sys.modules.get("asyncio")
        if asyncio is not None and self.end_ns is None:
            try:
                task = asyncio.current_task()
            except RuntimeError:  # another event loop's library runs it
                return
            if task is not None:
                # Weak, or a task that nobody else keeps could never be collected, since an open inference is kept.
                self._task = weakref.ref(task)

    def succeed(self) -> None:
        """End normally."""
        self._end(perf_counter_ns(), Outcome.COMPLETED, None)

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:
        """End by what was raised.

        Args:
            exc: The exception.
            holding: Whether it came while the consumer held a chunk.
            collected: Whether the garbage collector did it: then the end was the last hand-over.
        """
        request = self.request
        outcome = outcome_of(
            exc,
            disconnected=request is not None and request.disconnected,
            holding=holding or self.let_go or self.held_since != 0,
        )
        if collected and self.held_since:
            # Not before what an engine that ran ahead of its consumer brought meanwhile.
            now = max(self.held_since, self.first_ns or 0, self.last_ns or 0)
        else:
            now = perf_counter_ns()
        self._end(now, outcome, exc if outcome in (Outcome.TIMEOUT, Outcome.ERROR) else None)

    def end_at_exit(self) -> None:
        """End because the process exits."""
        task = None if self._task is None else self._task()
        cancelled = task is not None and _is_cancelled(task)
        now = perf_counter_ns()
        for running in tuple(self.stages):
            running.end_with(now)
        self._end(now, Outcome.CANCELLED if cancelled else Outcome.ABANDONED, None)

    def _end(self, now: int, outcome: Outcome, exc: BaseException | None) -> None:
        try:
            OPEN.remove(self)
        except KeyError:
            return
        try:
            if self.held_since:
                self._release(max(now, self.held_since))
            self.settled = self.outcome_given or outcome
            if self.settled not in _FAILED:
                exc = None
            if exc is not None:
                self.error_type = type_name(exc)
            self.end_ns = now
            self.flowing = self.called_back = False
            self.streaming = None
            self._task = None
            if (outer := self.outer_stage) is not None:
                outer.fail(exc) if exc is not None else outer.succeed()
            if (span := self.span) is not None:
                self._end_span(span, exc)
            submit = self.binding.submit
            if submit is not None:
                submit(self)
        except Exception:  # noqa: BLE001  # telemetry never fails the user's request
            report("otelext could not end an inference", exc_info=True)

    def _end_span(self, span: trace.Span | Span, exc: BaseException | None) -> None:
        try:
            if type(span) is Span:
                span.sealed = exc is not None or span.end_time is not None
            if not span.is_recording():
                return
            if self.span_name != self.first_name:
                span.update_name(self.span_name)
            if exc is not None or type(span) is not Span:
                # A light span's are set by the worker, but for an error, whose event and attribute come after these.
                span.set_attributes(timing.span_attributes(self))
                if self.first_ns is not None:
                    span.add_event(semconv.FIRST_TOKEN_EVENT, timestamp=self.wall(self.first_ns))
            end_span(span, self.wall(self.end_ns or self.start_ns), exc)
        except Exception:  # noqa: BLE001  # a foreign span; metrics need none
            report("otelext could not end an inference's span", exc_info=True)

    def wall(self, moment_ns: int) -> int:
        """Unix time in nanoseconds of a moment on the inference's clock."""
        return self.wall_ns + moment_ns - self.start_ns


def _is_cancelled(task: Any) -> bool:
    if task.cancelled() or getattr(task, "cancelling", int)() or getattr(task, "_must_cancel", False):
        return True
    # Before Python 3.11 a task that waits shows its cancellation in nothing but what it waits for.
    waits_for = getattr(task, "_fut_waiter", None)
    return waits_for is not None and bool(waits_for.cancelled())
