"""The receiver of `replay.py`, in a process of its own: what of the telemetry arrived."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Sequence

INDEX = "replay.request"
"""The attribute by which an inference's span tells its request."""
COUNTED = {
    "spans": None,
    "inferences": semconv.INFERENCES,
    "durations": semconv.REQUEST_DURATION,
    "TTFT": semconv.TTFT,
    "TPOT": semconv.TPOT,
}
"""What has to arrive, and the metric that counts it."""
DROPPED = {"dropped by the worker": semconv.WORKER_DROPPED, "errors of the worker": semconv.WORKER_ERRORS}
"""What must not happen, and the metric that counts it."""


class Receiver:
    """The receiver, seen from the process that exports to it.

    Attributes:
        endpoint: Where it receives OTLP over HTTP.
    """

    def __init__(self, command: Sequence[str]) -> None:
        # It ends with the pipe to its input, hence with this process, however that ends.
        self._process = subprocess.Popen(  # noqa: S603  # our own program
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asking, self._answering = self._process.stdin, self._process.stdout
        self._before: dict[str, float] = {}
        self.endpoint = self._answering.readline().strip()

    def ask(self) -> tuple[dict[str, float], list[tuple[int, float, float]]]:
        """What came since it was last asked: by name what it counted, and index, TTFT and TPOT of each inference."""
        self._asking.write("\n")
        self._asking.flush()
        told: dict[str, Any] = json.loads(self._answering.readline())
        measured = [(index, ttft, tpot) for index, ttft, tpot in told.pop("measured") if None not in {ttft, tpot}]
        arrived = {name: value - self._before.get(name, 0.0) for name, value in told.items()}
        self._before = {name: value for name, value in told.items() if name != "spans"}
        return arrived, measured


def receive() -> None:
    """Be the receiver: say where, then answer each line with what came since the last; counts are since the start."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.otlp_receiver import OtlpReceiver  # noqa: PLC0415  # loads protobuf, which the contenders go without

    keys = (INDEX, semconv.TIME_TO_FIRST_TOKEN, semconv.TIME_PER_OUTPUT_TOKEN)
    with OtlpReceiver() as receiver:
        print(receiver.endpoint, flush=True)
        for _ in sys.stdin:
            spans = receiver.spans
            found = [span.attributes for span in spans if span.name == "chat m"]
            answer = {
                "spans": len(spans),
                **{name: receiver.total(metric.name) for name, metric in COUNTED.items() if metric is not None},
                **{name: receiver.total(metric.name) for name, metric in DROPPED.items()},
                "measured": [[attributes.get(key) for key in keys] for attributes in found],
            }
            receiver.clear()
            print(json.dumps(answer), flush=True)
