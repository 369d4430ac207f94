from __future__ import annotations

import asyncio
import threading

import pytest

from document_vlm.errors import QueueFull
from document_vlm.slots import Slots


async def spin() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_as_many_slots_as_its_size_and_the_others_wait_in_order():
    slots, order = Slots(2, 10), []

    async def take(number: int) -> None:
        slot = await slots.take()
        order.append(number)
        await gate.wait()
        slot.leave()

    gate = asyncio.Event()
    tasks = [asyncio.create_task(take(n)) for n in range(5)]
    await spin()
    assert order == [0, 1]
    assert slots.waiting() == 3
    gate.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert slots.waiting() == 0
    slots.close()


async def test_a_full_line_refuses_and_a_place_in_it_is_free_again():
    slots = Slots(1, 1)
    first = await slots.take()
    second = asyncio.create_task(slots.take())
    await spin()
    with pytest.raises(QueueFull, match="1 requests wait"):
        await slots.take()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    third = asyncio.create_task(slots.take())
    await spin()
    first.leave()
    (await third).leave()
    slots.close()


async def test_a_line_of_none_refuses_only_when_all_are_busy():
    slots = Slots(1, 0)
    slot = await slots.take()
    with pytest.raises(QueueFull):
        await slots.take()
    slot.leave()
    (await slots.take()).leave()
    slots.close()


async def test_a_cancelled_request_keeps_its_slot_until_its_job_has_ended():
    slots, started, gate = Slots(1, 1), threading.Event(), threading.Event()

    def job() -> None:
        started.set()
        gate.wait(10)

    slot = await slots.take()
    running = asyncio.create_task(slot.run(job))
    assert await asyncio.to_thread(started.wait, 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    slot.leave()
    following = asyncio.create_task(slots.take())
    await spin()
    assert not following.done()
    gate.set()
    (await asyncio.wait_for(following, 10)).leave()
    slots.close()


async def test_a_job_gives_back_what_it_returned_or_raised():
    slots = Slots(1, 0)
    slot = await slots.take()
    assert await slot.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await slot.run(lambda: 1 // 0)
    slot.leave()
    slot.leave()  # once is enough
    (await slots.take()).leave()
    held = await slots.take()
    with pytest.raises(QueueFull):
        await slots.take()
    held.leave()
    slots.close()
