"""How an inference's output came and went: first token, chunks and tokens, and the time its consumer held them."""

from __future__ import annotations

from threading import get_ident
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from otelext.capture.arguments import count_of
from otelext.capture.failure import report
from otelext.capture.output import holds_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.capture.stage import RunningStage

MAX_HOLDS: Final = 1000
"""Hand-overs before the first token that are kept apart; later ones are merged into the last."""


class Delivery:
    """The output of one inference on its way to the consumer. Times are nanoseconds on `perf_counter_ns`.

    Attributes:
        flowing: Whether the first token came and a `str` that is handed over is one output chunk unless it is empty,
            with nothing else to be looked at: no rule of the user's counts, nothing but yields tells output, and the
            inference runs. Then who steps a generator keeps the facts without a call (benchmarks/per_token.py).
        called_back: Whether `add_tokens` has nothing to look at but the number, in an inference that runs.
        streaming: The mark of the iterator of `stream()` whose `str` chunks are as plain, if there is one.
        first_ns: Arrival of the first chunk that holds output.
        first_chunk_tokens: Its tokens.
        last_ns: Arrival of the last chunk or token that holds output.
        delivered_ns: Hand-over of the last chunk, where tokens are counted apart from what is handed over.
        chunks: Chunks that hold output.
        counted_tokens: Their tokens.
        counted: Whether a rule or a callback counted the tokens, rather than the chunks.
        explicit: Whether output is told by `stream()` or `add_tokens`, so that yields are deliveries alone.
        driven: Whether chunks leave the inference by way of a generator or a returned iterator.
        streamed: Whether `stream()` measures them.
        runs_ahead: Whether a token came while the consumer held a chunk.
        let_go: Whether the function's own code dropped `stream()` while it held a chunk.
        held_since: When the consumer was handed the chunk that it holds, 0 while it holds none.
        hold_depth: How many iterators of `stream()` the function's own code holds a chunk of.
        consumer_ns: Time after the first token in which the consumer held a chunk, so far.
        consumer_at_last_ns: Consumer time up to `last_ns`.
        consumer_at_delivery_ns: Consumer time up to `delivered_ns`.
        holds: Times before the first token in which the consumer held a chunk and a stage was open.
        stages: Stages, in the order of their start.
        end_ns: End of the inference, None while it runs.
    """

    __slots__ = (
        "_early_hold_ns",
        "_pushed",
        "_stepper",
        "_tokens_rule",
        "called_back",
        "chunks",
        "consumer_at_delivery_ns",
        "consumer_at_last_ns",
        "consumer_ns",
        "counted",
        "counted_tokens",
        "delivered_ns",
        "driven",
        "end_ns",
        "explicit",
        "first_chunk_tokens",
        "first_ns",
        "flowing",
        "held_since",
        "hold_depth",
        "holds",
        "last_ns",
        "let_go",
        "runs_ahead",
        "stages",
        "streamed",
        "streaming",
    )

    def __init__(self, tokens: Callable[[Any], int] | None) -> None:
        self._tokens_rule = tokens
        self.flowing = False
        self.called_back = False
        self.streaming: object = None
        self.end_ns: int | None = None
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.delivered_ns: int | None = None
        self.first_chunk_tokens = 1
        self.chunks = self.counted_tokens = 0
        self.counted = tokens is not None
        self.explicit = self.driven = self.streamed = self.runs_ahead = self.let_go = self._pushed = False
        self.hold_depth = self.held_since = self._early_hold_ns = self.consumer_ns = self._stepper = 0
        self.consumer_at_last_ns = self.consumer_at_delivery_ns = 0
        self.holds: list[tuple[int, int]] | None = None
        self.stages: list[RunningStage] = []

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
        if self.called_back and type(n) is int and n > 0:
            # As below, where nothing is new: benchmarks/per_token.py.
            if self.held_since:
                self.runs_ahead = True
            self.last_ns = now
            self.consumer_at_last_ns = self.consumer_ns
            self.counted_tokens += n
            return
        if self.end_ns is not None:
            return
        count = count_of("n", n, None)
        if not count:
            return
        self.counted = True
        if not self.explicit:
            self.explicit = True
            self.flowing = False
            self.counted_tokens = 0
            self.first_chunk_tokens = 1
        if self.held_since:
            self.runs_ahead = True
        if self._stepper and self._stepper != get_ident():
            self._pushed = True
        self.called_back = not self._stepper
        if self.first_ns is None:
            self.first_ns = now
        self.last_ns = now
        self.consumer_at_last_ns = self.consumer_ns
        self.counted_tokens += count

    def hand_over(self, chunk: object) -> None:
        """A chunk goes to the consumer of the whole inference."""
        now = perf_counter_ns()
        if self.end_ns is not None:
            return
        if self.explicit:
            if holds_output(chunk):
                if not self.streamed:
                    self.chunks += 1
                self.delivered_ns = now
                self.consumer_at_delivery_ns = self.consumer_ns
        else:
            self._arrived(chunk, now, self._tokens_rule)
            self.flowing = self.first_ns is not None and self._tokens_rule is None
            if self.end_ns is not None:  # by another thread, just now
                self.flowing = False
        self.held_since = now

    def resume(self) -> None:
        """The consumer of the whole inference asks for more."""
        if self.explicit:
            self._stepper = get_ident()
            self.called_back = False
        self._release(perf_counter_ns())

    def hand_over_part(self, chunk: object, tokens: Callable[[Any], int] | None, mark: object) -> None:
        """A chunk of the iterator of `stream()` that `mark` stands for goes to the function's own code."""
        now = perf_counter_ns()
        if self.end_ns is not None:
            return
        if not self.explicit:
            self.explicit = True
            self.flowing = False
            self.chunks = self.counted_tokens = 0
            self.first_chunk_tokens = 1
        self.streamed = True
        self.let_go = False
        self.streaming = None
        rule = tokens or self._tokens_rule
        if rule is not None:
            self.counted = True
        self._arrived(chunk, now, rule)
        if not self.driven:
            self.hold_depth += 1
            if self.hold_depth == 1:
                self.held_since = now
                if rule is None:
                    self.streaming = mark

    def resume_part(self) -> None:
        """The function's own code asks `stream()` for more, or ends it."""
        if self.hold_depth:
            self.hold_depth -= 1
            if self.hold_depth == 0:
                self._release(perf_counter_ns())

    def let_go_part(self) -> None:
        """The function's own code drops `stream()` while it holds a chunk: by `break`, or by an exception.

        Which one is not known here, so a cancellation that follows counts as one while it held the chunk, unless
        the function went on by a stage or another stream.
        """
        self.let_go = self.hold_depth > 0
        self.streaming = None
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
        self.consumer_at_last_ns = self.consumer_ns
        self.chunks += 1
        self.counted_tokens += count

    def _release(self, now: int) -> None:
        start = self.held_since
        if not start:
            return
        self.held_since = 0
        first = self.first_ns
        if first is None or start < first:
            self._early_hold_ns += (now if first is None else first) - start
            # Only a hold that a stage reaches into changes the breakdown, so that role chunks keep nothing.
            if any(s.end_ns is None or s.end_ns > start for s in self.stages):
                holds = self.holds
                if holds is None:
                    self.holds = [(start, now)]
                elif len(holds) < MAX_HOLDS:
                    holds.append((start, now))
                else:
                    holds[-1] = (holds[-1][0], now)
            if first is None:
                return
            start = first
        self.consumer_ns += now - start

    def held_until(self, now: int) -> int:
        """Nanoseconds up to `now` in which the consumer held a chunk and the producer stood still for it."""
        held = self._early_hold_ns + self.consumer_ns
        start = self.held_since
        if start and now > start:
            held += now - start
        return held if held and self.stands_still else 0

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
