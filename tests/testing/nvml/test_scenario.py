"""The scenario's file: how its lines read, over time and when it is written anew."""

from __future__ import annotations

import itertools
import os
import time

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("hello", "'hello' must be key = value"),
        ("gpu0.power =", "'gpu0.power' must have a value"),
        ("gpu0.pwer = 1", "there is no reading 'pwer'"),
        ("gpu0.power = lots", "'lots' must be a number, NA or an error such as !NOT_SUPPORTED"),
        ("gpu0.power = inf", "'inf' must be a number, NA or an error"),
        ("gpu0.power = from_power", "'from_power' must be a number"),
        ("gpu0.power = !NOPE", "'!NOPE' is no NVML error; write one as !NOT_SUPPORTED"),
        ("gpu0.power = !SUCCESS", "'!SUCCESS' is no NVML error"),
        ("gpu0.power = 1 2", "'2' must be preceded by @SECONDS"),
        ("gpu0.power = @1 2", "'@1' must be preceded by the value that holds before"),
        ("gpu0.power = 1 @5 2 @5 3", "'@5' must be @SECONDS, later than the one before"),
        ("gpu0.power = 1 @soon 2", "'@soon' must be @SECONDS"),
        ("gpu0.power = 1 @5", "a value must follow the last @SECONDS"),
        ("gpu0.process.me = 1", "there is no reading 'process.me'"),
        ("gpu64.power = 1", "'gpu64.power' must be gpuN.NAME with N from 0 to 63"),
        ("gpu.power = 1", "'gpu.power' must be gpuN.NAME"),
        ("gpu0.mig7.uuid = MIG-1", "'gpu0.mig7.uuid' must be gpuN.migK.NAME with K from 0 to 6"),
        ("gpu0.mig0.lost = 1", "'lost' is of a physical GPU, not of a MIG device"),
        ("gpu0.gi = 1", "'gi' is of a MIG device, not of a physical GPU"),
        ("gpu0.pci_bus = left", "'left' must be a PCI bus such as 00000000:01:00.0"),
        ("gpus = many", "'many' must be a number"),
        ("gpus = 65", "'65' must be a number of GPUs from 0 to 64"),
        ("start = -1", "'-1' must be nanoseconds of CLOCK_MONOTONIC"),
        ("call.nvmlFoo = ok", "the stand-in has no function 'nvmlFoo'"),
        ("call.nvmlInitWithFlags = no", "'no' must be ok, hang:SECONDS, slow:SECONDS or an error"),
        ("call.nvmlInitWithFlags = hang:-1", "'hang:-1' must be ok, hang:SECONDS"),
        ("power = 1", "'power' is none of start, gpus, driver.version, gpuN.*, call.*"),
        (f"gpu0.{'x' * 100} = 1", "is too long for a key"),
    ],
)
def test_a_wrong_line_is_left_out_and_said(line, why, stand_in, capfd) -> None:
    # `start` is line 1.
    stand_in.write(f"# comment\n{line}\ngpu0.temperature.gpu = 41")
    assert pynvml.nvmlDeviceGetCount() == 1
    assert pynvml.nvmlDeviceGetTemperature(pynvml.nvmlDeviceGetHandleByIndex(0), 0) == 41
    said = capfd.readouterr().err
    assert f"{stand_in.path}, line 3 is left out: " in said
    assert why in said
    assert said.count("\n") == 1


def test_a_line_reads_the_same_with_spaces_comments_and_carriage_returns(stand_in, capfd) -> None:
    gpu = stand_in.gpu("\r\n  # gpu0.fan = 1\n\tgpu0.fan=7   # percent\r\ngpu0.name = A GPU#1 # the first\n")
    assert pynvml.nvmlDeviceGetFanSpeed(gpu) == 7
    assert pynvml.nvmlDeviceGetName(gpu) == "A GPU#1"
    assert not capfd.readouterr().err


def test_a_later_line_replaces_an_earlier_one(stand_in) -> None:
    assert pynvml.nvmlDeviceGetFanSpeed(stand_in.gpu("gpu0.fan = 1 @0 2\ngpu0.fan = 3")) == 3


def test_each_value_holds_from_its_second_on(stand_in, error) -> None:
    steps = "gpu0.fan = 10 @5 !NO_DATA @7.5 NA @10 30"
    found = []
    for second in (0, 4.5, 5, 7, 8, 10, 99):
        gpu = stand_in.gpu(steps, at=second)
        found.append(error(pynvml.nvmlDeviceGetFanSpeed, gpu) or pynvml.nvmlDeviceGetFanSpeed(gpu))
    no_data, blank = pynvml.NVML_ERROR_NO_DATA, pynvml.NVML_VALUE_NOT_AVAILABLE_uint.value
    assert found == [10, 10, no_data, no_data, blank, 30, 30]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.integers(1, 50), max_size=6), values=st.lists(st.integers(0, 100), min_size=7, max_size=7))
def test_the_last_step_that_has_come_is_what_holds(stand_in, gaps, values) -> None:
    seconds = list(itertools.accumulate(gaps))
    text = " ".join([str(values[0]), *(f"@{at} {value}" for at, value in zip(seconds, values[1:], strict=False))])
    for index, at in enumerate([0, *seconds]):
        gpu = stand_in.gpu(f"gpu0.fan = {text}", at=at + 0.25)
        assert pynvml.nvmlDeviceGetFanSpeed(gpu) == values[index]


def test_without_a_start_second_0_is_the_load(stand_in) -> None:
    stand_in.path.write_text("gpu0.fan = 1 @0.05 2 @3600 3")
    deadline = time.perf_counter() + 30
    while pynvml.nvmlDeviceGetCount() == 0 or pynvml.nvmlDeviceGetFanSpeed(pynvml.nvmlDeviceGetHandleByIndex(0)) != 2:
        assert time.perf_counter() < deadline


def test_an_emptied_or_removed_file_leaves_the_scenario_in_force(stand_in) -> None:
    stand_in.write("gpus = 2")
    assert pynvml.nvmlDeviceGetCount() == 2
    stand_in.path.write_text("")
    time.sleep(0.011)
    assert pynvml.nvmlDeviceGetCount() == 2
    stand_in.path.unlink()
    time.sleep(0.011)
    assert pynvml.nvmlDeviceGetCount() == 2
    stand_in.write("gpus = 3")
    assert pynvml.nvmlDeviceGetCount() == 3


def test_a_change_that_leaves_size_and_time_as_they_were_is_seen_by_the_new_file(stand_in) -> None:
    stand_in.write("gpus = 2")
    assert pynvml.nvmlDeviceGetCount() == 2
    before = stand_in.path.stat()
    kept = stand_in.path.with_name("kept")
    stand_in.path.rename(kept)
    stand_in.path.write_text(kept.read_text().replace("gpus = 2", "gpus = 3"))
    os.utime(stand_in.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert stand_in.path.stat().st_size == before.st_size
    time.sleep(0.011)
    assert pynvml.nvmlDeviceGetCount() == 3
