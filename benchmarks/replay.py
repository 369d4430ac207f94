"""Replay: does otelext keep up with a production service's arrivals, lose nothing, and measure what really happened?

2,000 requests of a real trace (`data/azure_llm_2023`), eight times as fast as they came, through an engine that emits
each answer's tokens on a schedule: a prefill in proportion to the context, then a token every 8 to 24 ms, both drawn
once for each request. Telemetry is as `otelext.configure()` sets it up, and goes by OTLP over HTTP to a receiver in
another process.

Cost: CPU of the service's process until everything was received, and its resident memory, beside those of the same
replay without telemetry, in turns. CPU of the receiver is left out.

Errors, without their sign, of TTFT and TPOT over all requests. There are two truths, since asyncio wakes late:

    engine to schedule     when the engine emitted, against when it was told to: the event loop's lateness
    otelext to engine      what the received spans say, against when the engine emitted: otelext's own error
    otelext to schedule    both together

The engine's TTFT is from just before the first step of the answer's generator to just before it yields its first token;
its TPOT is the time from there to its last token, over the tokens after the first. otelext takes off the time in which
the consumer holds a token, which the engine can't see; this consumer asks again at once.

Nothing may be lost: the spans, the inferences and the histograms' counts that were received are those that were made,
and otelext's own counters of what it dropped stay 0. Otherwise it is said, and the exit status is 3.

    python benchmarks/replay.py [--rounds 3] [--repetitions 2000] [--compression 8] [--json FILE]

Needs Linux's `/proc`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import os
import statistics
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from replay_engine import REQUESTS, Answer, requests, until
from replay_figures import (
    BARE,
    CPU,
    GROWTH,
    LATE,
    OURS,
    OWN,
    PEAK,
    SECONDS,
    TOTAL,
    as_made,
    as_received,
    errors,
    lost,
    table,
)
from replay_receiver import COUNTED, DROPPED, INDEX, Receiver, receive
from resident import resident, watched
from rounds import MISSED, Benchmark, add_rounds, arguments, measure, serve, write_json

import otelext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from replay_engine import Request
    from rounds import Figures, Measure

SPANS = 3  # a request: the inference and its two stages
MEBI = 2**20


async def bare(answer: Answer) -> AsyncIterator[str]:
    """The service without telemetry."""
    await answer.prefill()
    async for token in answer.decode():
        yield token


@otelext.inference("chat", model="m", provider="vllm")
async def measured(answer: Answer) -> AsyncIterator[str]:
    """The service with otelext."""
    inf = otelext.current_inference()
    inf.set_attribute(INDEX, answer.request.index)
    with otelext.stage("prefill"):
        await answer.prefill()
    with otelext.stage("decode"):
        async for token in answer.decode():
            yield token
    inf.set_usage(input_tokens=answer.request.context, output_tokens=answer.request.tokens)


async def consume(answer: Answer, service: Callable[[Answer], AsyncIterator[str]]) -> None:
    """A client that reads at once whatever comes."""
    answer.started_ns = time.perf_counter_ns()
    async for _ in service(answer):
        pass


async def replay(told: Sequence[Request], service: Callable[[Answer], AsyncIterator[str]]) -> list[Answer]:
    """Let the requests arrive, and wait for the last token of the last."""
    answers = [Answer(request) for request in told]
    begin = time.perf_counter_ns()
    clients = []
    for answer in answers:
        await until(begin + answer.request.due_ns)
        clients.append(asyncio.create_task(consume(answer, service)))
    await asyncio.gather(*clients)
    return answers


def contender(
    service: Callable[[Answer], AsyncIterator[str]],
    compression: float,
    flush: Callable[[], object] = lambda: None,
    received: Callable[[Sequence[Answer]], Figures] = lambda _: {},
) -> Measure:
    """The replay as a contender.

    Args:
        service: What answers.
        compression: How many times as fast as they came requests arrive.
        flush: Sends what is not sent yet.
        received: Figures of what arrived.
    """

    async def run(told: Sequence[Request]) -> tuple[list[Answer], int]:
        async with watched() as seen:
            answers = await replay(told, service)
        return answers, max(seen)

    def measure(repetitions: int) -> Figures:
        told = requests(repetitions, compression)
        memory = resident()
        begin, cpu = time.perf_counter(), time.process_time()
        answers, peak = asyncio.run(run(told))
        flush()
        figures = {CPU: time.process_time() - cpu, SECONDS: time.perf_counter() - begin}
        gc.collect()
        figures |= {PEAK: max(peak, resident()) / MEBI, GROWTH: (resident() - memory) / MEBI}
        return {
            **figures,
            "tokens": sum(request.tokens for request in told),
            **errors(LATE, ((one.real(), one.told()) for one in answers)),
            **received(answers),
        }

    return measure


def ours(compression: float) -> Measure:
    """The contender with otelext, and the receiver it exports to."""
    receiver = Receiver([sys.executable, __file__, "--receiver"])
    os.environ.update(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "NO_PROXY": "127.0.0.1",
            "OTELEXT_ALLOW_ATTRIBUTES": INDEX,
            "OTELEXT_LOG_FORMAT": "none",  # as before; the line of each inference is measured apart
        }
    )
    otelext.configure(instrument=False)

    def received(answers: Sequence[Answer]) -> Figures:
        arrived, inferences = receiver.ask()
        pairs = [(answers[index], figures) for index, *figures in inferences]
        # Where nothing arrived there is no error either; what is missing is said from the counts.
        found = {} if not pairs else errors(OWN, ((figures, one.real()) for one, figures in pairs))
        found |= {} if not pairs else errors(TOTAL, ((figures, one.told()) for one, figures in pairs))
        made = dict.fromkeys(COUNTED, float(len(answers))) | {"spans": float(SPANS * len(answers))}
        return {
            **{as_made(name): value for name, value in made.items()},
            **{as_received(name): arrived[name] for name in COUNTED},
            **{name: arrived[name] for name in DROPPED},
            **found,
        }

    return contender(measured, compression, lambda: otelext.force_flush(60), received)


def faster(text: str) -> float:
    """The option's number above 0.

    Raises:
        argparse.ArgumentTypeError: If it is another one, or none.
    """
    with suppress(ValueError):
        if 0 < (times := float(text)) < math.inf:
            return times
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def main() -> int:
    """Measure and show; or be a contender or the receiver."""
    parser = arguments(__doc__)
    add_rounds(parser, 3, REQUESTS, "both contenders", f"requests a round, {REQUESTS:,} at most")
    parser.add_argument(
        "--compression", type=faster, default=8.0, metavar="X", help="how many times as fast (default %(default)s)"
    )
    parser.add_argument("--contender", choices=(BARE, OURS), help=argparse.SUPPRESS)
    parser.add_argument("--receiver", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receiver:
        receive()
        return 0
    if options.contender:
        compression = options.compression
        serve(contender(bare, compression) if options.contender == BARE else ours(compression))
        return 0
    # Started by commands, as the compression has to reach them.
    command = [sys.executable, __file__, "--compression", str(options.compression), "--contender"]
    commands = {name: ([*command, name], dict[str, str]()) for name in (BARE, OURS)}
    asked = Benchmark(__file__, {}, base=BARE, repetitions=REQUESTS, commands=commands)
    rounds: list[dict[str, Figures]] = []
    for one in measure(asked, list(commands), options.rounds, min(options.repetitions, REQUESTS)):
        rounds.append(one)
        print(f"{asked.question}: round {len(rounds)} of {options.rounds}", file=sys.stderr, flush=True)
    print(table(rounds))
    first = rounds[0][OURS]
    made, tokens = first[as_made("inferences")], first["tokens"]
    added = statistics.median(one[OURS][CPU] - one[BARE][CPU] for one in rounds)
    print(f"{made:,.0f} requests and {tokens:,.0f} tokens a round, in {first[SECONDS]:.0f} s.")
    print(f"otelext adds {added / made * 1e6:,.0f} µs of CPU a request, {added / tokens * 1e6:.1f} µs a token with it.")
    if options.json:
        write_json(options.json, {"question": asked.question, "compression": options.compression, "rounds": rounds})
    missing = lost(rounds)
    for sentence in missing:
        print(f"something was lost: {sentence}", file=sys.stderr)
    return MISSED if missing else 0


if __name__ == "__main__":
    sys.exit(main())
