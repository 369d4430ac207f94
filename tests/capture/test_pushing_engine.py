"""Engines that push their tokens from a thread of their own, and what their clients' waits mean for TPOT."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import otelext

if TYPE_CHECKING:
    from collections.abc import Iterator

MS = 1_000_000


def _elsewhere(call: Any, *args: Any) -> None:
    thread = threading.Thread(target=call, args=args)
    thread.start()
    thread.join()


def _run(clock: Any, *, elsewhere: bool, hold_ms: float, step_ms: float, tokens: int = 11) -> otelext.Inference:
    found: list[otelext.Inference] = []

    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        inf = otelext.current_inference()
        found.append(inf)
        for _ in range(tokens):
            clock.tick(int(step_ms * MS))
            if elsewhere:
                _elsewhere(inf.add_tokens, 1)
            else:
                inf.add_tokens(1)
            yield "a"

    for _ in answer():
        clock.tick(int(hold_ms * MS))
    return found[0]


@pytest.mark.usefixtures("captured")
def test_short_waits_are_not_taken_off_an_engine_that_pushes_from_its_own_thread(clock: Any) -> None:
    inference = _run(clock, elsewhere=True, hold_ms=0.5, step_ms=9.5)
    assert inference.tpot == pytest.approx(0.010)


@pytest.mark.usefixtures("captured")
def test_a_slow_client_is_not_blamed_on_an_engine_that_waits_for_it_in_another_thread(clock: Any) -> None:
    inference = _run(clock, elsewhere=True, hold_ms=40, step_ms=10)
    assert inference.tpot == pytest.approx(0.010)


@pytest.mark.usefixtures("captured")
def test_an_engine_in_the_generators_own_thread_stands_still_however_short_the_waits(clock: Any) -> None:
    inference = _run(clock, elsewhere=False, hold_ms=0.5, step_ms=9.5)
    assert inference.tpot == pytest.approx(0.0095)
