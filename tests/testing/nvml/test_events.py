"""Xid errors of the stand-in, by pynvml: events that a set waits for."""

from __future__ import annotations

import threading
import time

import pynvml

XID = pynvml.nvmlEventTypeXidCriticalError


def told(events) -> list[tuple[int, int]]:
    """Index of the GPU and Xid of each event, until none is left."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            event = pynvml.nvmlEventSetWait(events, 0)
        except pynvml.NVMLError_Timeout:
            return found
        assert event.eventType == XID
        found.append((pynvml.nvmlDeviceGetIndex(event.device), event.eventData))


def registered(*gpus) -> pynvml.c_nvmlEventSet_t:
    events = pynvml.nvmlEventSetCreate()
    for gpu in gpus:
        assert pynvml.nvmlDeviceGetSupportedEventTypes(gpu) == XID
        pynvml.nvmlDeviceRegisterEvents(gpu, XID, events)
    return events


def test_a_set_tells_of_each_event_since_its_registration_once(stand_in) -> None:
    text = "gpu0.xid = 0 @5 31 @10 79 @11 0 @20 79\ngpu1.xid = 48 @15 63"
    gpus = [stand_in.gpu(text, at=6), pynvml.nvmlDeviceGetHandleByIndex(1)]
    events = registered(*gpus)
    assert told(events) == []
    stand_in.write(text, at=16)
    assert told(events) == [(0, 79), (1, 63)]
    assert told(events) == []
    stand_in.write(text, at=21)
    assert told(events) == [(0, 79)]
    assert told(registered(*gpus)) == []
    pynvml.nvmlEventSetFree(events)


def test_an_event_that_the_scenario_is_given_later_is_told(stand_in) -> None:
    events = registered(stand_in.gpu("gpu0.xid = 0", at=30))
    stand_in.write("gpu0.xid = 0 @1 13", at=30)
    assert told(events) == [(0, 13)]


def test_waiting_ends_with_the_event_while_other_calls_go_on(stand_in) -> None:
    events = registered(stand_in.gpu("gpu0.xid = 0"))
    found: list[int] = []
    waiting = threading.Thread(
        target=lambda: found.append(pynvml.nvmlEventSetWait(events, 60_000).eventData), daemon=True
    )
    waiting.start()
    assert pynvml.nvmlDeviceGetCount() == 1
    stand_in.write("gpu0.xid = 0 @0 74")
    waiting.join(30)
    assert found == [74]


def test_without_an_event_waiting_takes_its_time_and_no_longer(stand_in, error) -> None:
    events = registered(stand_in.gpu("gpu0.xid = 0"))
    begun = time.perf_counter()
    assert error(pynvml.nvmlEventSetWait, events, 50) == pynvml.NVML_ERROR_TIMEOUT
    assert time.perf_counter() - begun >= 0.049


def test_a_gpu_that_is_lost_tells_its_last_event_first(stand_in, error) -> None:
    events = registered(stand_in.gpu("gpu0.xid = 0"))
    stand_in.write("gpu0.xid = 0 @0 79\ngpu0.lost = 1")
    assert pynvml.nvmlEventSetWait(events, 0).eventData == 79
    assert error(pynvml.nvmlEventSetWait, events, 0) == pynvml.NVML_ERROR_GPU_IS_LOST


def test_what_has_no_events_can_not_be_registered(stand_in, error) -> None:
    events = pynvml.nvmlEventSetCreate()
    gpu = stand_in.gpu("gpu0.fan = 1\ngpu0.mig0.fan = 1")
    assert pynvml.nvmlDeviceGetSupportedEventTypes(gpu) == 0
    unsupported = pynvml.NVML_ERROR_NOT_SUPPORTED
    assert error(pynvml.nvmlDeviceRegisterEvents, gpu, XID, events) == unsupported
    gpu = stand_in.gpu("gpu0.xid = 0\ngpu0.mig0.fan = 1")
    assert error(pynvml.nvmlDeviceRegisterEvents, gpu, XID | pynvml.nvmlEventTypeClock, events) == unsupported
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    assert error(pynvml.nvmlDeviceRegisterEvents, mig, XID, events) == unsupported


def test_a_library_that_is_shut_down_ends_the_waiting(stand_in, error) -> None:
    events = registered(stand_in.gpu("gpu0.xid = 0"))
    found: list[int] = []
    waiting = threading.Thread(target=lambda: found.append(error(pynvml.nvmlEventSetWait, events, 60_000)), daemon=True)
    waiting.start()
    pynvml.nvmlShutdown()
    waiting.join(30)
    assert found == [pynvml.NVML_ERROR_UNINITIALIZED]
    pynvml.nvmlInit()
