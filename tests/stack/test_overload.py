"""More than what the pipeline was made for: what it takes it stores, the rest it refuses, and its memory is bounded."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from tests.collector.configurations import read, with_defaults
from tests.stack.reliability import FLOOD, RATE, Figures, record
from tests.stack.servers import Server, get, until
from tests.stack.signals import TRACES
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

pytestmark = pytest.mark.timeout(500)

MIB: Final = 2**20
RATE_PER_S: Final = 10_000
# telemetrygen needs a second or two to begin and to end; what is below this is another load than the page names.
LEAST_PER_S: Final = 9_000
SECONDS: Final = 60
# So many that the rate limiter of each, which releases one span at a time, keeps up.
WORKERS: Final = 16
SPANS_A_TRACE: Final = 100
SENDERS: Final = 20
FLOODS: Final = 2
# docs/reliability.md says so.
USUAL_MEMORY: Final = 100 * MIB
SPANS_A_FLOOD: Final = 20_000
# While it is read, before the limiter sees it, a request of spans takes so many times its size.
READING: Final = 6


class HighestMemory:
    """The most memory that a server had, as a context manager, in bytes; files that it maps are left out."""

    def __init__(self, server: Server) -> None:
        self.highest = 0
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._ended.wait(0.05) and self._server.is_running:
            self.highest = max(self.highest, self._server.anonymous_memory())


@pytest.fixture
def stack(programs: dict[str, Path], tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path / "stack", programs) as stack:
        stack.start("collector", "jaeger", "prometheus")
        yield stack


def limit() -> int:
    """What the memory limiter allows, in bytes."""
    limiter = with_defaults(read("single"))["processors"]["memory_limiter"]
    return int(limiter["limit_mib"]) * MIB


def spans_of(stack: Stack, service: str, since: float) -> int:
    """How many spans of a service Jaeger has: counted in its answers about each second, each trace once."""
    found: dict[bytes, int] = {}
    for second in range(int(since) - 1, int(time.time()) + 1):
        answer = get(
            f"{stack.jaeger.url}/api/traces",
            service=service,
            limit=100_000,
            start=second * 10**6,
            end=(second + 1) * 10**6,
        )
        assert answer.status_code == 200, answer.text
        head, *traces = answer.content.split(b'"spans":[')
        for spans in traces:
            (trace_id,) = re.findall(rb'"traceID":"(\w+)",$', head)
            found[trace_id] = spans.count(b'"operationName":')
            head = spans
    return sum(found.values())


def counted(stack: Stack, transport: str) -> tuple[int, int]:
    """What the Collector's receiver says that it accepted and refused, in an export that began after now."""
    now = time.time()

    def fresh(name: str) -> int:
        series = f'otelcol_receiver_{name}_spans_total{{receiver="otlp",transport="{transport}"}}'
        (found,) = until(lambda: stack.prometheus.query(f"{series} and timestamp({series}) > {now}"), series, 60)
        return int(float(found["value"][1]))

    return fresh("accepted"), fresh("refused")


def emptied(stack: Stack) -> bool:
    """Whether Jaeger has received as many spans as the Collector has accepted."""
    metrics = get(stack.composition.url("jaeger", 14269) + "/metrics").text
    received = re.findall(r"^otelcol_receiver_accepted_spans_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    accepted = stack.prometheus.value('otelcol_receiver_accepted_spans_total{receiver="otlp"}')
    return sum(map(float, received)) >= accepted


def test_ten_thousand_spans_a_second(stack: Stack, programs: dict[str, Path], tmp_path: Path) -> None:
    begin = time.time()
    command = [
        *(str(programs["telemetrygen"]), "traces", "--otlp-insecure", "--otlp-endpoint", stack.otlp_grpc),
        *("--service", "generated", "--child-spans", str(SPANS_A_TRACE - 1), "--batch-size", "512"),
        *("--workers", str(WORKERS), "--rate", str(RATE_PER_S / WORKERS)),
        *("--traces", str(RATE_PER_S * SECONDS // SPANS_A_TRACE // WORKERS)),
    ]
    with HighestMemory(stack.collector) as memory, (tmp_path / "telemetrygen.log").open("wb") as log:
        # It ends at once, and not with 0, if a single export fails.
        subprocess.run(command, stdout=log, stderr=log, timeout=300, check=True)
    took = time.time() - begin
    received, refused = counted(stack, "grpc")
    offered = RATE_PER_S * SECONDS // SPANS_A_TRACE // WORKERS * WORKERS * SPANS_A_TRACE
    print(f"{received / took:.0f}/s, {memory.highest / MIB:.0f} MiB, {offered - received} dropped by the sender")  # noqa: T201
    assert (received + refused) / took >= LEAST_PER_S, f"{offered - received - refused} were dropped by the sender"
    assert memory.highest < USUAL_MEMORY
    until(lambda: emptied(stack), "every span in Jaeger", 120)
    stored = spans_of(stack, "generated", begin)
    record(RATE, Figures("spans", received + refused, stored, refused, max(0, received - stored), 0))


def test_more_at_once_than_fits_into_memory(stack: Stack) -> None:
    bodies = [TRACES.request("flood", n, SPANS_A_FLOOD, 100) for n in range(1, FLOODS + 1)]
    answers: dict[str, int] = {}  # by trace id

    def flood(sender: int) -> None:
        own = b"%08d" % sender  # the first half of the sender's trace ids
        with httpx.Client(trust_env=False, timeout=120) as client:
            for n, body in enumerate(bodies, 1):
                answer = client.post(
                    stack.otlp_http + TRACES.path,
                    content=body.replace(b"---flood", own),
                    headers={"content-type": "application/x-protobuf"},
                )
                answers[(own + n.to_bytes(8, "big")).hex()] = answer.status_code

    with HighestMemory(stack.collector) as memory, ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(flood, range(SENDERS)))
    assert set(answers.values()) <= {200, 503}
    accepted = SPANS_A_FLOOD * sum(status == 200 for status in answers.values())
    refused = SPANS_A_FLOOD * sum(status == 503 for status in answers.values())
    print(f"{accepted} spans accepted, {refused} refused, {memory.highest / MIB:.0f} MiB")  # noqa: T201
    assert refused, "the limit was never reached"
    assert memory.highest < limit() + READING * SENDERS * len(bodies[0])
    # The senders saw each refusal, and all of them are the limiter's.
    assert counted(stack, "http") == (accepted, refused)
    assert stack.prometheus.value("otelcol_processor_refused_spans_total") == refused
    until(lambda: emptied(stack), "every span in Jaeger", 120)
    found = {trace_id: spans_in(get(f"{stack.jaeger.url}/api/traces/{trace_id}")) for trace_id in answers}
    assert not any(found[trace_id] for trace_id, status in answers.items() if status != 200)
    stored = sum(found.values())
    record(FLOOD, Figures("spans", accepted + refused, stored, refused, accepted - stored, 0))


def spans_in(answer: httpx.Response) -> int:
    assert answer.status_code in {200, 404}, answer.text
    return answer.content.count(b'"operationName":')
