"""Holds the telemetry against what the clients wrote down themselves and against the engine's own clock."""

from __future__ import annotations

import json
import statistics
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from otelext import semconv

from .client import BROKEN, HANGING_UP, QUICK, SLOW, TWIN, Outcome

MOST_TPOT_DIFFERENCE: Final = 0.20
MOST_WAIT_DIFFERENCE: Final = 0.10
MOST_PREFILL_DIFFERENCE_SECONDS: Final = 0.005
MOST_ENGINE_DIFFERENCE: Final = 0.03
_DISCONNECTED: Final = semconv.Outcome.CLIENT_DISCONNECTED.value


@dataclass(frozen=True)
class Measured:
    """One inference as the telemetry has it; durations in seconds, None where there is none.

    Attributes:
        request_id: The client's name for the request.
        outcome: How it ended.
        tpot: Time per output token.
        consumer_wait: Time for which it waited for its client.
        prefill: Duration of its prefill stage.
        error: `error.type`.
        output_tokens: Tokens that were generated for it.
    """

    request_id: str
    outcome: str
    tpot: float | None
    consumer_wait: float | None
    prefill: float | None
    error: str | None
    output_tokens: int | None


NOTHING: Final = Measured("", "", None, None, None, None, None)
"""Of a request that the telemetry does not hold."""


@dataclass(frozen=True)
class Finding:
    """One comparison, in words with its figures."""

    holds: bool
    text: str


_Pairs: TypeAlias = "Sequence[tuple[Outcome, Measured]]"


class Viewer:
    """Asks a running viewer.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str) -> Any:  # JSON
        """The answer to a GET.

        Raises:
            OSError: No viewer answers.
        """
        # Proxies of the environment are for the outer world.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self._url + path, timeout=30) as answer:
            return json.load(answer)

    def inferences(self) -> list[dict[str, Any]]:
        """Every inference, the last one first."""
        found: list[dict[str, Any]] = []
        page = self.get("/api/inferences?limit=1000")
        found += page["inferences"]
        while page["next"]:
            page = self.get(f"/api/inferences?limit=1000&cursor={page['next']}")
            found += page["inferences"]
        return found

    def counted(self) -> int:
        """Inferences that the metrics count."""
        total: int = self.get("/api/report?since=all")["requests"]["total"]
        return total

    def measured(self) -> dict[str, Measured]:
        """Every inference with a request id, by that id."""
        found = {}
        for inference in self.inferences():
            spans = self.get(f"/api/traces/{inference['trace_id']}")["spans"]
            of_inference = next(span for span in spans if span["span_id"] == inference["span_id"])
            attributes = of_inference["attributes"]
            prefill = [s for s in spans if s["stage"] == "prefill" and s["parent_id"] == inference["span_id"]]
            if (name := attributes.get(semconv.REQUEST_ID)) is not None:
                found[name] = Measured(
                    request_id=name,
                    outcome=inference["outcome"],
                    tpot=inference["tpot_s"],
                    consumer_wait=inference["consumer_wait_s"],
                    prefill=(prefill[0]["end_ns"] - prefill[0]["start_ns"]) / 1e9 if prefill else None,
                    error=attributes.get(semconv.ERROR_TYPE),
                    output_tokens=attributes.get(semconv.OUTPUT_TOKENS),
                )
        return found


def compare(
    outcomes: Sequence[Outcome], measured: Mapping[str, Measured], critical_field_errors: int, wasted_output: int
) -> list[Finding]:
    """Every comparison that the outcomes ask for; one whose figures are missing does not hold.

    Args:
        outcomes: What the clients saw.
        measured: What the telemetry holds, by request id.
        critical_field_errors: What the telemetry counts of them.
        wasted_output: Output tokens of requests whose client hung up, as the telemetry counts them.
    """
    traced = sum(outcome.name in measured for outcome in outcomes)
    found = [
        Finding(
            traced == len(outcomes),
            f"requests: the clients sent {len(outcomes)}, the traces hold {traced} of them",
        )
    ]
    pairs = [(outcome, measured.get(outcome.name, NOTHING)) for outcome in outcomes]
    found += _tpot_of_slow_readers(pairs)
    found += _consumer_wait(pairs)
    found += _hang_ups(pairs)
    found += _wasted(pairs, measured, wasted_output)
    found += _broken(pairs)
    found += _engine(pairs)
    seen = critical_field_errors_seen(outcomes)
    found.append(
        Finding(
            seen == critical_field_errors,
            f"critical-field errors: the clients count {seen} in the answers, the metrics {critical_field_errors}",
        )
    )
    return found


def events_of(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """The JSON of the server-sent events that a client received whole."""
    for block in outcome.body.decode(errors="replace").split("\n\n")[:-1]:
        for line in block.splitlines():
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))


def timings_of(outcome: Outcome) -> dict[str, Any] | None:
    """The engine's own timings at the end of an answer."""
    return next((event["timings"] for event in events_of(outcome) if event.get("timings")), None)


def critical_field_errors_seen(outcomes: Sequence[Outcome]) -> int:
    """Fields that the answers themselves call wrong."""
    return sum(
        field["correct"] is False
        for outcome in outcomes
        for event in events_of(outcome)
        for field in event.get("fields", ())
    )


def _tpot_of_slow_readers(pairs: _Pairs) -> Iterator[Finding]:
    slow, twins = _by_number(pairs, SLOW), _by_number(pairs, TWIN)
    if not (slow or twins):
        return
    # A reader and its twin are sent together: each pair has had the same load.
    both = [(*slow[number], *twins[number]) for number in slow if number in twins]
    ratios = [m.tpot / of_twin.tpot - 1 for _, m, _, of_twin in both if m.tpot and of_twin.tpot]
    if len(ratios) < max(len(slow), len(twins)):
        yield Finding(
            False, f"TPOT: {len(slow)} slow readers and {len(twins)} twins were sent, {len(ratios)} pairs have it"
        )
        return
    own = [
        mine / of_twin - 1
        for outcome, _, twin, _ in both
        if (mine := _engine_tpot(timings_of(outcome))) and (of_twin := _engine_tpot(timings_of(twin)))
    ]
    ours = statistics.median(ratios)
    engine = f"{statistics.median(own):+.1%}" if own else "not said"
    yield Finding(
        abs(ours) <= MOST_TPOT_DIFFERENCE,
        f"TPOT: slow readers {ours:+.1%} from the same requests read quickly, at the median of {len(ratios)} pairs "
        f"(the engine's own clock: {engine})",
    )


def _consumer_wait(pairs: _Pairs) -> Iterator[Finding]:
    for outcome, measured in pairs:
        if outcome.behaviour != SLOW:
            continue
        if measured.consumer_wait is None or not outcome.paused:
            yield Finding(
                False,
                f"consumer wait of {outcome.name}: telemetry {measured.consumer_wait}, the client's log "
                f"{outcome.paused:.2f} s: there is nothing to compare",
            )
            continue
        difference = measured.consumer_wait / outcome.paused - 1
        yield Finding(
            abs(difference) <= MOST_WAIT_DIFFERENCE,
            f"consumer wait of {outcome.name}: telemetry {measured.consumer_wait:.2f} s, "
            f"the client's log {outcome.paused:.2f} s: {difference:+.1%}",
        )


def _hang_ups(pairs: _Pairs) -> Iterator[Finding]:
    outcomes = [measured.outcome for outcome, measured in pairs if outcome.behaviour == HANGING_UP]
    right = outcomes.count(_DISCONNECTED)
    if outcomes:
        yield Finding(right == len(outcomes), f"hang-ups: {right} of {len(outcomes)} are client_disconnected")


def _wasted(pairs: _Pairs, measured: Mapping[str, Measured], counted: int) -> Iterator[Finding]:
    traced = sum(m.output_tokens or 0 for m in measured.values() if m.outcome == _DISCONNECTED)
    sent = any(outcome.behaviour == HANGING_UP for outcome, _ in pairs)
    yield Finding(
        counted == traced and (counted > 0 or not sent),
        f"output tokens wasted by hang-ups: the traces hold {traced}, the metrics {counted}",
    )


def _broken(pairs: _Pairs) -> Iterator[Finding]:
    of_broken = [measured for outcome, measured in pairs if outcome.behaviour == BROKEN]
    right = [m for m in of_broken if m.outcome == semconv.Outcome.ERROR.value and m.error]
    if of_broken:
        kinds = ", ".join(sorted({m.error.rpartition(".")[2] for m in right if m.error}))
        yield Finding(
            len(right) == len(of_broken), f"broken files: {len(right)} of {len(of_broken)} are errors ({kinds})"
        )


def _engine(pairs: _Pairs) -> Iterator[Finding]:
    answered = [(o, m) for o, m in pairs if o.behaviour in {QUICK, SLOW, TWIN}]
    prefill, own_prefill, tpot, lacking = [], [], [], []
    for outcome, measured in answered:
        timings = timings_of(outcome)
        if timings is None or measured.prefill is None:
            lacking.append(outcome.name)
            continue
        own_prefill.append(timings["prompt_ms"] / 1e3)
        prefill.append(measured.prefill - own_prefill[-1])
        own = _engine_tpot(timings)
        if own is None:
            continue
        if measured.tpot is None:
            lacking.append(outcome.name)
            continue
        tpot.append(measured.tpot / own - 1)
    if lacking:
        yield Finding(False, f"the engine's timings, prefill or TPOT are missing for {', '.join(lacking)}")
    if prefill:
        yield Finding(
            abs(statistics.median(prefill))
            <= max(MOST_PREFILL_DIFFERENCE_SECONDS, MOST_ENGINE_DIFFERENCE * statistics.median(own_prefill)),
            f"prefill: {statistics.median(prefill) * 1e3:+.2f} ms from llama.cpp's own, "
            f"at the median of {len(prefill)} requests",
        )
    if tpot:
        yield Finding(
            abs(statistics.median(tpot)) <= MOST_ENGINE_DIFFERENCE,
            f"TPOT: {statistics.median(tpot):+.2%} from llama.cpp's own, at the median of {len(tpot)} requests",
        )


def _by_number(pairs: _Pairs, behaviour: str) -> dict[str, tuple[Outcome, Measured]]:
    """A behaviour's requests by what follows it in their names, which a slow reader and its twin share."""
    return {o.name.removeprefix(behaviour): (o, m) for o, m in pairs if o.behaviour == behaviour}


def _engine_tpot(timings: Mapping[str, Any] | None) -> float | None:
    """The engine's seconds per token after the first; None where there is no second one."""
    if timings is None or timings["predicted_n"] < 2:
        return None
    seconds: float = timings["predicted_ms"] / 1e3 / (timings["predicted_n"] - 1)
    return seconds
