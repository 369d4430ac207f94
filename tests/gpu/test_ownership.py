from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from otelext.gpu.ownership import used
from otelext.gpu.snapshot import Device

if TYPE_CHECKING:
    from pathlib import Path

G0, G1 = (Device(f"GPU-{index}", "NVIDIA H100", index, f"00000000:0{index}:00.0") for index in range(2))
MIG = Device("MIG-0", "NVIDIA H100", 1, G1.pci_bus, parent=G1.uuid)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Processes: 10, its child 11, whose child is 12; 20, of somebody else."""
    for pid, name, parent in [(10, "python", 1), (11, "engine) R (", 10), (12, "a b", 11), (20, "other", 1)]:
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0", encoding="utf-8")
    return tmp_path


def opens(proc: Path, pid: int, path: str) -> None:
    (proc / str(pid) / "fd" / "3").symlink_to(path)


@pytest.mark.parametrize(("pid", "uses"), [(10, {G0.uuid}), (11, {G0.uuid}), (12, {G0.uuid}), (20, set()), (99, set())])
def test_a_gpu_is_used_by_the_process_and_its_ancestors(proc: Path, pid: int, uses: set[str]) -> None:
    assert used({G0.uuid: {12: 1024}, G1.uuid: {}}, [G0, G1], pid, proc) == uses


def test_a_gpu_that_cuda_does_not_show_is_not_used(proc: Path) -> None:
    assert used({G0.uuid: {10: None}, G1.uuid: {10: None}}, [G1], 10, proc) == {G1.uuid}


@pytest.mark.parametrize("listed", [MIG.uuid, G1.uuid])
def test_a_mig_device_stands_for_its_gpu(proc: Path, listed: str) -> None:
    assert used({listed: {10: None}}, [MIG], 10, proc) == {G1.uuid}


def test_where_the_hosts_process_ids_are_listed_all_that_cuda_shows_is_used(proc: Path) -> None:
    listed: dict[str, dict[int, int | None]] = {G0.uuid: {4711: None}}
    assert used(listed, [G0, MIG], 10, proc) == set()
    opens(proc, 10, "/dev/nvidia-uvm")
    assert used(listed, [G0, MIG], 10, proc) == {G0.uuid, G1.uuid}
    assert used({}, [G0], 10, proc) == {G0.uuid}


def test_a_child_that_has_opened_memory_counts_as_well(proc: Path) -> None:
    opens(proc, 12, "/dev/nvidia-uvm")
    listed = {G0.uuid: [4711]}
    assert used(listed, [G0], 10, proc) == used(listed, [G0], 11, proc) == {G0.uuid}
    assert used(listed, [G0], 20, proc) == set()


def test_where_process_ids_are_the_hosts_own_nvml_is_believed(proc: Path) -> None:
    opens(proc, 10, "/dev/nvidia-uvm")  # as torch.cuda.is_available() does, which uses no GPU
    (proc / "10" / "ns").mkdir()
    namespace = proc / "10" / "ns" / "pid"
    namespace.symlink_to("pid:[4026531836]")
    assert used({G0.uuid: [4711]}, [G0], 10, proc) == set()
    assert used({G0.uuid: []}, [G0], 10, proc) == set()
    assert used({}, [G0], 10, proc) == {G0.uuid}  # NVML can't list any
    namespace.unlink()
    namespace.symlink_to("pid:[4026532211]")
    assert used({G0.uuid: [4711]}, [G0], 10, proc) == {G0.uuid}


def test_the_tools_of_the_driver_open_no_memory(proc: Path) -> None:
    opens(proc, 10, "/dev/nvidiactl")
    assert used({G0.uuid: {4711: None}}, [G0], 10, proc) == set()


def test_a_circle_of_parents_ends(proc: Path) -> None:
    (proc / "10" / "stat").write_text("10 (python) S 12 1 1 0", encoding="utf-8")
    assert used({G0.uuid: {11: None}}, [G0], 20, proc) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of processes in /proc")
def test_a_real_child_is_a_descendant() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert used({G0.uuid: {child.pid: None}}, [G0], os.getpid()) == {G0.uuid}
        assert used({G0.uuid: {os.getppid(): None}}, [G0], child.pid) == set()
        child.communicate(b"\n")
