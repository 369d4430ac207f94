"""One inference: the facts of a request to a model, from its start to its single end."""

from __future__ import annotations

import sys
import weakref
from threading import get_ident
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from opentelemetry.context import Context, get_current

from otelext import semconv
from otelext.capture import timing
from otelext.capture.arguments import cost_of, count_of, text_of
from otelext.capture.binding import Binding, current_binding
from otelext.capture.context import entered, open_inference
from otelext.capture.failure import report
from otelext.capture.outcome import outcome_of, type_name
from otelext.capture.output import holds_output
from otelext.capture.request import Request, request_of
from otelext.capture.span import Span, start_span
from otelext.capture.stage import RunningStage, end_span, stage
from otelext.semconv import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence

    from opentelemetry import trace
    from opentelemetry.util.types import AttributeValue

_T = TypeVar("_T")

_FAILED: Final = (Outcome.ERROR, Outcome.TIMEOUT)

OPEN: Final[set[Inference]] = set()
"""Inferences that are running. Taking one out is what ends it: a set does that once, whoever comes first."""


class Inference:
    """The facts of one inference, which `current_inference()` and `with otelext.inference(...)` give.

    Times are integer nanoseconds on `perf_counter_ns` inside and seconds in the public readings. Methods never
    raise; a bad argument is logged and left out. After the end nothing changes any more.
    """

    __slots__ = (
        "__weakref__",
        "_consumer_ns",
        "_hold_depth",
        "_hold_start",
        "_hold_total",
        "_pushed",
        "_stepper",
        "_task",
        "_tokens_rule",
        "admission_ns",
        "binding",
        "cached_input_tokens",
        "chunks",
        "collected",
        "consumer_at_delivery_ns",
        "consumer_at_last_ns",
        "context",
        "cost",
        "counted",
        "counted_tokens",
        "delivered_ns",
        "document_type",
        "driven",
        "end_ns",
        "error_type",
        "explicit",
        "fields",
        "finish_reasons",
        "first_chunk_tokens",
        "first_name",
        "first_ns",
        "height",
        "holds",
        "image_tokens",
        "images",
        "input_tokens",
        "last_ns",
        "let_go",
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
        "runs_ahead",
        "settled",
        "span",
        "stages",
        "start_ns",
        "streamed",
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
        self._tokens_rule = tokens
        self.end_ns: int | None = None
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.delivered_ns: int | None = None
        self.first_chunk_tokens = 1
        self.chunks = self.counted_tokens = 0
        self.counted = tokens is not None
        self.explicit = self.driven = self.streamed = self.runs_ahead = self.collected = self.let_go = self._pushed = (
            False
        )
        self._hold_depth = self._hold_start = self._hold_total = self._consumer_ns = self._stepper = 0
        self.consumer_at_last_ns = self.consumer_at_delivery_ns = 0
        self.holds: list[tuple[int, int]] | None = None
        self.stages: list[RunningStage] = []
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
        self._task: Any = None
        self.admission_ns: int | None = None
        self.outer_stage: RunningStage | None = None
        self.span: trace.Span | Span | None = None
        self.request: Request | None = None
        if binding is not None:  # the inert one
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
        if (around := open_inference(outer)) is not None:
            # To the inference around it, this one is a stage named by its operation.
            self.outer_stage = RunningStage(self.operation, around, with_span=False)
        if (tracer := binding.tracer) is not None:
            attributes = {semconv.OPERATION: self.operation}
            if self.provider is not None:
                attributes[semconv.PROVIDER] = self.provider
            if self.model is not None:
                attributes[semconv.REQUEST_MODEL] = self.model
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

    def stage(self, name: str) -> stage:
        """A stage of this inference, for a thread, task or queue that its context does not reach.

        Args:
            name: As for `otelext.stage`.
        """
        return stage(name, inference=self)

    # --- output -----------------------------------------------------------------------------------

    def first_token(self) -> None:
        """Stamp the first token now, if nothing did before. Counts nothing."""
        if self.end_ns is None and self.first_ns is None:
            self.first_ns = perf_counter_ns()

    def add_tokens(self, n: int) -> None:
        """Count tokens that an engine's callback brought, now. The first call stamps the first token.

        From then on the yields of a decorated generator are deliveries and count no tokens.

        Args:
            n: Number of tokens.
        """
        now = perf_counter_ns()
        if self.end_ns is not None:
            return
        count = count_of("n", n, None)
        if not count:
            return
        self.counted = True
        if not self.explicit:
            self.explicit = True
            self.counted_tokens = 0
            self.first_chunk_tokens = 1
        if self._hold_start:
            self.runs_ahead = True
        if self._stepper and self._stepper != get_ident():
            self._pushed = True
        if self.first_ns is None:
            self.first_ns = now
        self.last_ns = now
        self.consumer_at_last_ns = self._consumer_ns
        self.counted_tokens += count

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
        from otelext.capture.stream import stream_of  # noqa: PLC0415  # stream needs the classes of this module

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

    # --- what measures it -------------------------------------------------------------------------

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

    def hand_over(self, chunk: object) -> None:
        """A chunk goes to the consumer of the whole inference."""
        now = perf_counter_ns()
        if self.explicit:
            if holds_output(chunk):
                if not self.streamed:
                    self.chunks += 1
                self.delivered_ns = now
                self.consumer_at_delivery_ns = self._consumer_ns
        else:
            self._arrived(chunk, now, self._tokens_rule)
        self._hold_start = now

    def resume(self) -> None:
        """The consumer of the whole inference asks for more."""
        if self.explicit:
            self._stepper = get_ident()
        self._release(perf_counter_ns())

    def hand_over_part(self, chunk: object, tokens: Callable[[Any], int] | None) -> None:
        """A chunk of `stream()` goes to the function's own code."""
        now = perf_counter_ns()
        if self.end_ns is not None:
            return
        if not self.explicit:
            self.explicit = True
            self.chunks = self.counted_tokens = 0
            self.first_chunk_tokens = 1
        self.streamed = True
        self.let_go = False
        rule = tokens or self._tokens_rule
        if rule is not None:
            self.counted = True
        self._arrived(chunk, now, rule)
        if not self.driven:
            self._hold_depth += 1
            if self._hold_depth == 1:
                self._hold_start = now

    def resume_part(self) -> None:
        """The function's own code asks `stream()` for more, or ends it."""
        if self._hold_depth:
            self._hold_depth -= 1
            if self._hold_depth == 0:
                self._release(perf_counter_ns())

    def let_go_part(self) -> None:
        """The function's own code drops `stream()` while it holds a chunk: by `break`, or by an exception.

        Which one is not known here, so a cancellation that follows counts as one while it held the chunk, unless
        the function went on by a stage or another stream.
        """
        self.let_go = self._hold_depth > 0
        self.resume_part()

    def _arrived(self, chunk: object, now: int, rule: Callable[[Any], int] | None) -> None:
        if rule is None:
            count = 1 if holds_output(chunk) else 0
        else:
            try:
                count = int(rule(chunk))
            except Exception:  # noqa: BLE001  # the user's rule may raise; the stream goes on
                report("otelext: tokens= raised; the chunk was counted by the default rule", exc_info=True)
                count = 1 if holds_output(chunk) else 0
        if count <= 0:
            return
        if self.first_ns is None:
            self.first_ns = now
            self.first_chunk_tokens = count
        self.last_ns = now
        self.consumer_at_last_ns = self._consumer_ns
        self.chunks += 1
        self.counted_tokens += count

    def _release(self, now: int) -> None:
        start = self._hold_start
        if not start:
            return
        self._hold_start = 0
        self._hold_total += now - start
        first = self.first_ns
        if first is None or start < first:
            # Only a hold that a stage reaches into changes the breakdown, so that role chunks keep nothing.
            if any(s.end_ns is None or s.end_ns > start for s in self.stages):
                holds = self.holds
                if holds is None:
                    self.holds = [(start, now)]
                elif len(holds) < timing.MAX_HOLDS:
                    holds.append((start, now))
                else:
                    holds[-1] = (holds[-1][0], now)
            if first is None:
                return
            start = first
        self._consumer_ns += now - start

    def held_until(self, now: int) -> int:
        """Nanoseconds up to `now` in which the consumer held a chunk and the producer stood still for it."""
        if not self.stands_still:
            return 0
        start = self._hold_start
        return self._hold_total + (now - start if start and now > start else 0)

    @property
    def stands_still(self) -> bool:
        """Whether the producer stands still while the consumer holds a chunk, as a generator does.

        It does not where a token came while a chunk was held. An engine that pushes from a thread of its own is
        taken to go on too: with a quick client the holds are so short, and so soon after a token, that none ever
        falls into one. Where holds make up more than a quarter of the time and still none did, it evidently waits.
        """
        if self.runs_ahead:
            return False
        if not self._pushed or self.first_ns is None or self.last_ns is None:
            return True
        return self.consumer_at_last_ns * 4 > self.last_ns - self.first_ns

    @property
    def held_since(self) -> int:
        """When the consumer was handed the chunk that it holds, 0 while it holds none."""
        return self._hold_start

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
            holding=holding or self.let_go or self._hold_start != 0,
        )
        if collected and self._hold_start:
            # Not before what an engine that ran ahead of its consumer brought meanwhile.
            now = max(self._hold_start, self.first_ns or 0, self.last_ns or 0)
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
            if self._hold_start:
                self._release(max(now, self._hold_start))
            self.settled = self.outcome_given or outcome
            if self.settled not in _FAILED:
                exc = None
            if exc is not None:
                self.error_type = type_name(exc)
            self.end_ns = now
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
