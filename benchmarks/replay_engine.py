"""The engine of `replay.py`: requests as a production service's trace has them, and answers by a schedule drawn once."""

from __future__ import annotations

import asyncio
import csv
import random
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TRACE = Path(__file__).with_name("data") / "azure_llm_2023" / "AzureLLMInferenceTrace_conv.csv"
REQUESTS = 2000
SEED = 2023


@dataclass(frozen=True)
class Request:
    """What the engine is told.

    Attributes:
        index: Its place in the trace.
        due_ns: Arrival after the begin of the replay.
        prefill_ns: Time to the first token.
        interval_ns: Time from one token to the next.
        context: Input tokens.
        tokens: Output tokens.
    """

    index: int
    due_ns: int
    prefill_ns: int
    interval_ns: int
    context: int
    tokens: int


def requests(number: int, compression: float) -> list[Request]:
    """The first requests of the trace; the same ones for every contender."""
    chosen = random.Random(SEED)
    found: list[Request] = []
    with TRACE.open(newline="") as file:
        rows = list(csv.DictReader(file))[:number]
    begin = _time(rows[0]["TIMESTAMP"])
    for row in rows:
        context = int(row["ContextTokens"])
        prefill = 0.02 + context * chosen.uniform(60e-6, 140e-6)
        due = (_time(row["TIMESTAMP"]) - begin) / compression
        interval = chosen.uniform(0.008, 0.024)
        due_ns, prefill_ns, interval_ns = (round(seconds * 1e9) for seconds in (due, prefill, interval))
        found.append(Request(len(found), due_ns, prefill_ns, interval_ns, context, int(row["GeneratedTokens"])))
    return found


def _time(stamp: str) -> float:
    return datetime.fromisoformat(f"{stamp[:26]}+00:00").timestamp()  # of seven decimals the last is always 0


class Answer:
    """One answer of the engine.

    Attributes:
        request: What it was told.
        started_ns: When the consumer took the first step.
        first_ns: When the first token left.
        last_ns: When the last one did.
    """

    __slots__ = ("first_ns", "last_ns", "request", "started_ns")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.started_ns = self.first_ns = self.last_ns = 0

    async def prefill(self) -> None:
        """Everything before the first token."""
        await until(self.started_ns + self.request.prefill_ns)

    async def decode(self) -> AsyncIterator[str]:
        """The tokens. One that is late delays none after it."""
        request = self.request
        due = self.started_ns + request.prefill_ns
        self.first_ns = self.last_ns = time.perf_counter_ns()
        yield "token"
        for _ in range(request.tokens - 1):
            due += request.interval_ns
            await until(due)
            self.last_ns = time.perf_counter_ns()
            yield "token"

    def told(self) -> tuple[float, float]:
        """TTFT and TPOT of the schedule, in seconds."""
        return self.request.prefill_ns / 1e9, self.request.interval_ns / 1e9

    def real(self) -> tuple[float, float]:
        """TTFT and TPOT as they were."""
        decode = self.last_ns - self.first_ns
        return (self.first_ns - self.started_ns) / 1e9, decode / (self.request.tokens - 1) / 1e9


async def until(moment_ns: int) -> None:
    """Sleep until this moment of `time.perf_counter_ns`; where it has passed, let others run."""
    await asyncio.sleep((moment_ns - time.perf_counter_ns()) / 1e9)
