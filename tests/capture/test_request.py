"""What the request around an inference decides: the client's hang-up, admission, the request's id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.context import attach, detach, get_current, set_value

import otelext
from otelext import Outcome
from otelext.capture.context import REQUEST_KEY
from otelext.capture.request import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from otelext.testing import Captured


@pytest.fixture
def request_around(clock: Any) -> Iterator[Request]:
    """A request that was entered 40 ns ago."""
    found = Request(clock.now - 40, "r-1")
    token = attach(set_value(REQUEST_KEY, found))
    yield found
    detach(token)


@pytest.mark.parametrize("gone", [True, False])
def test_a_stream_that_is_closed_after_a_hang_up(captured: Captured, request_around: Request, gone: bool) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        yield "a"
        yield "b"

    running = answer()
    next(running)
    request_around.disconnected = gone
    del running
    expected = Outcome.CLIENT_DISCONNECTED if gone else Outcome.ABANDONED
    assert [i.outcome for i in captured.inferences()] == [expected]
    assert captured.value("vlm.tokens", vlm_outcome=str(expected)) == 1


@pytest.mark.parametrize("gone", [True, False])
async def test_a_step_that_is_cancelled_after_a_hang_up(
    captured: Captured, request_around: Request, gone: bool
) -> None:
    @otelext.inference("chat")
    async def answer() -> AsyncIterator[str]:
        yield "a"
        request_around.disconnected = gone
        await asyncio.get_running_loop().create_future()

    async def read() -> None:
        async for _ in answer():
            pass

    task = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    expected = Outcome.CLIENT_DISCONNECTED if gone else Outcome.CANCELLED
    assert [i.outcome for i in captured.inferences()] == [expected]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "completed"), (ValueError("x"), "error"), (TimeoutError("x"), "timeout")],
    ids=["normal", "error", "timeout"],
)
def test_a_hang_up_changes_no_other_outcome(
    captured: Captured, request_around: Request, error: Exception | None, outcome: str
) -> None:
    request_around.disconnected = True

    @otelext.inference("chat")
    def answer() -> None:
        if error is not None:
            raise error

    try:
        answer()
    except (ValueError, TimeoutError) as raised:
        assert raised is error  # noqa: PT017  # in one case of three nothing is raised
    assert [i.outcome for i in captured.inferences()] == [outcome]


def test_the_flag_is_that_of_the_start_even_if_the_end_is_elsewhere(
    captured: Captured, request_around: Request
) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        yield "a"

    running = answer()
    next(running)
    request_around.disconnected = True
    token = attach(set_value(REQUEST_KEY, None, get_current()))
    running.close()  # type: ignore[attr-defined]  # a generator
    detach(token)
    assert [i.outcome for i in captured.inferences()] == [Outcome.CLIENT_DISCONNECTED]


@pytest.mark.usefixtures("request_around")
def test_admission_is_that_of_the_first_inference_of_the_request(captured: Captured, clock: Any) -> None:
    clock.tick(10)
    with otelext.inference("chat"):
        clock.tick(5)
    with otelext.inference("chat"):
        pass
    first, second = captured.inferences()
    assert (first.admission_ns, second.admission_ns) == (50, None)
    attributes = [dict(span.attributes or {}) for span in captured.spans("chat")]
    assert [a.get("vlm.admission") for a in attributes] == [50 / 1e9, None]
    assert [a["request.id"] for a in attributes] == ["r-1", "r-1"]
    assert captured.value("vlm.admission") == 1


def test_without_a_request_there_is_no_admission(captured: Captured) -> None:
    with otelext.inference("chat"):
        pass
    assert captured.inferences()[0].admission_ns is None
    assert captured.value("vlm.admission") == 0
