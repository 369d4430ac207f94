"""Which devices a process sees, and which it uses."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.gpu.ownership import used
from otelext.gpu.snapshot import Device, Snapshot
from otelext.gpu.visible import visible_devices

if TYPE_CHECKING:
    from pathlib import Path

GPUS = (
    Device("GPU-aaaa-0", "H100", 0, "01"),
    Device("GPU-aabb-1", "H100", 1, "02"),
    Device("GPU-cccc-2", "H100", 2, "03"),
)
DIVIDED = (
    Device("GPU-aaaa-0", "H100", 0, "01"),
    Device("MIG-x", "1g", 0, "01", parent="GPU-aaaa-0"),
    Device("MIG-y", "1g", 0, "01", parent="GPU-aaaa-0"),
    Device("GPU-cccc-1", "H100", 1, "02"),
)


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("0", [0]),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("GPU-cccc", [2]),
        ("GPU-aaaa-0,2", [0, 2]),
        ("GPU-aa", []),  # fits two
        ("-1", []),
        ("0,-1,1", [0]),
        ("0,9,1", [0]),
        ("0,0", []),
        ("NoDevFiles", []),
        ("2,none,0", [2]),
    ],
)
def test_the_variable_is_read_as_cuda_does(value: str | None, numbers: list[int]) -> None:
    assert [device.index for device in visible_devices(value, GPUS)] == numbers


@pytest.mark.parametrize(
    ("value", "uuids"),
    [
        (None, ["MIG-x", "GPU-cccc-1"]),
        ("0", ["MIG-x"]),
        ("MIG-y", ["MIG-y"]),
        ("MIG-y,1", ["MIG-y", "GPU-cccc-1"]),
        ("MIG-GPU-aaaa-0/1/0", ["MIG-x"]),
        ("MIG-z", []),
    ],
)
def test_of_a_gpu_that_is_divided_cuda_sees_one_device(value: str | None, uuids: list[str]) -> None:
    assert [device.uuid for device in visible_devices(value, DIVIDED)] == uuids


@given(st.text())
def test_no_value_gives_what_is_not_there_or_anything_twice(value: str) -> None:
    found = visible_devices(value, DIVIDED)
    assert len(set(found)) == len(found)
    assert set(found) <= set(DIVIDED)


def snapshot(processes: dict[str, dict[int, int | None]], devices: tuple[Device, ...] = GPUS) -> Snapshot:
    return Snapshot(taken_ns=0, seconds=0, calls=0, driver="", known=devices, processes=processes)


def test_a_gpu_is_used_where_this_process_runs() -> None:
    assert used(snapshot({"GPU-aaaa-0": {1: 5}, "GPU-aabb-1": {os.getpid(): None}})) == {"GPU-aabb-1"}


def test_a_gpu_is_used_where_a_process_runs_that_this_one_started() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert used(snapshot({"GPU-cccc-2": {child.pid: 1}})) == {"GPU-cccc-2"}
    finally:
        child.communicate(b"\n")


def test_a_process_whose_model_runs_elsewhere_uses_none() -> None:
    assert used(snapshot({"GPU-aaaa-0": {os.getppid(): 5}, "GPU-aabb-1": {2**22 + 1: 5}})) == set()


def test_a_gpu_that_is_not_visible_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    both: dict[str, dict[int, int | None]] = {"GPU-aaaa-0": {os.getpid(): 1}, "GPU-aabb-1": {os.getpid(): 1}}
    assert used(snapshot(both)) == {"GPU-aaaa-0"}


def test_what_runs_on_a_mig_device_uses_its_gpu() -> None:
    assert used(snapshot({"MIG-x": {os.getpid(): 1}}, DIVIDED)) == {"GPU-aaaa-0"}


def test_in_a_container_an_open_cuda_device_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = tmp_path / str(os.getpid()) / "fd"
    descriptors.mkdir(parents=True)
    of_the_host = snapshot({"GPU-aaaa-0": {4711: 5}})
    assert used(of_the_host, tmp_path) == set()
    (descriptors / "7").symlink_to("/dev/nvidia-uvm")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert used(of_the_host, tmp_path) == {"GPU-aabb-1"}
