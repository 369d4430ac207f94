"""A service that dies of SIGKILL takes what it had not sent yet, and no more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.stack.reliability import SERVICE_KILLED, Figures, record
from tests.stack.servers import until
from tests.stack.services import Service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(200)

NAME: Final = "service-killed"
# How old what is lost may be, in seconds, by docs/reliability.md; and what a busy machine adds to it.
SPANS_S: Final = 5.0
LOGS_S: Final = 1.0
METRICS_S: Final = 15.0
LATE_S: Final = 3.0


def test_a_killed_service_loses_what_the_page_names(stack: Stack, tmp_path: Path) -> None:
    ended: list[float] = []
    with Service(NAME, stack.otlp_http, tmp_path) as service:
        begin = time.monotonic()
        while time.monotonic() - begin < METRICS_S + LATE_S:
            service.answer(len(ended))
            ended.append(time.monotonic())
            time.sleep(0.02)
        service.kill()
    killed = time.monotonic()

    def safe(seconds: float) -> int:
        return sum(at < killed - seconds - LATE_S for at in ended)

    until(lambda: service.traced(stack) >= set(range(safe(SPANS_S))), "every trace older than 5 s")
    traced = service.traced(stack)
    until(lambda: service.logged(stack) >= safe(LOGS_S), "log records older than 1 s")
    until(lambda: service.counted(stack) >= safe(METRICS_S), "inferences counted more than 15 s ago")
    for signal, stored in (
        ("traces", len(traced)),
        ("inferences counted", service.counted(stack)),
        ("log records", service.logged(stack)),
    ):
        record(SERVICE_KILLED, Figures(signal, len(ended), stored, 0, len(ended) - stored, 0))
