"""NVML through pynvml: loading it, errors by name, calls that are counted, and a library that is replaced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING

import pytest

from otelext.gpu.nvml import Nvml, NvmlError
from otelext.testing import nvml
from tests.gpu.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def opened(nvml_library: Path, tmp_path: Path) -> Iterator[Nvml]:
    with nvml.loaded(nvml_library, nvml.write_scenario(tmp_path / "scenario", "gpu0.power = 70000")):
        made = Nvml()
        made.open()
        yield made
        made.close()


def test_an_error_has_its_name_and_that_of_the_call(opened: Nvml) -> None:
    with pytest.raises(NvmlError, match=r"^nvmlDeviceGetHandleByIndex: NVML_ERROR_INVALID_ARGUMENT$") as caught:
        opened.call("nvmlDeviceGetHandleByIndex", 5)
    assert caught.value.name == "NVML_ERROR_INVALID_ARGUMENT"


def test_an_error_that_pynvml_does_not_know_has_its_number(opened: Nvml) -> None:
    assert opened.error_name(20_000) == "NVML_ERROR_20000"


def test_a_function_that_pynvml_lacks_is_one_that_is_not_found(opened: Nvml) -> None:
    with pytest.raises(NvmlError) as caught:
        opened.call("nvmlDeviceGetSomethingOfTheFuture")
    assert caught.value.name == "NVML_ERROR_FUNCTION_NOT_FOUND"


def test_calls_are_counted(opened: Nvml) -> None:
    before = opened.calls
    opened.call("nvmlDeviceGetCount")
    with pytest.raises(NvmlError):
        opened.call("nvmlDeviceGetHandleByIndex", 5)
    assert opened.calls == before + 2


def test_the_call_under_way_is_named_until_it_returns(opened: Nvml, tmp_path: Path) -> None:
    assert opened.under_way is None
    nvml.write_scenario(tmp_path / "scenario", "gpu0.power = 1\ncall.nvmlDeviceGetCount_v2 = hang:60")
    ended = threading.Event()

    def call() -> None:
        while not ended.is_set():  # the library looks at the file now and then
            opened.call("nvmlDeviceGetCount")

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: (found := opened.under_way) and perf_counter_ns() - found.since_ns > 10**8, "call that hangs")
    assert opened.under_way is not None
    assert opened.under_way.name == "nvmlDeviceGetCount"
    ended.set()
    nvml.write_scenario(tmp_path / "scenario", "gpu0.power = 1")
    caller.join(20)
    assert opened.under_way is None


def test_the_library_that_is_loaded_is_no_new_one(opened: Nvml) -> None:
    assert not opened.load_anew()
    assert not opened.load_anew()
    assert opened.call("nvmlDeviceGetCount") == 1


def test_nothing_is_loaded_anew_before_anything_was_loaded() -> None:
    assert not Nvml().load_anew()


REPLACED = """
import ctypes, os, shutil, sys
from otelext.gpu.nvml import Nvml

folder = sys.argv[1]
loads = []
original = ctypes.CDLL
ctypes.CDLL = lambda *args, **more: loads.append(args) or original(*args, **more)

def replace():
    shutil.copy(f"{folder}/libnvidia-ml.so.1", f"{folder}/new")
    os.replace(f"{folder}/new", f"{folder}/libnvidia-ml.so.1")

nvml = Nvml()
nvml.open()
for _ in range(3):
    replace()
    assert nvml.load_anew(), "the new one"
    nvml.call("nvmlInit")
    tried = len(loads)
    for _ in range(100):
        assert not nvml.load_anew(), "the same one"
    assert len(loads) == tried, "it is not loaded again to find that out"
os.unlink(f"{folder}/libnvidia-ml.so.1")
assert not nvml.load_anew(), "none"
shutil.copy(sys.argv[2], f"{folder}/libnvidia-ml.so.1")
if os.fork() == 0:
    child = Nvml()
    child.open()
    assert child.load_anew(), "the new one, in a child"
    child.call("nvmlInit")
    assert child.call("nvmlDeviceGetCount") == 1
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_library_that_is_replaced_is_taken_each_time_and_otherwise_left_alone(
    nvml_library: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "installed"
    folder.mkdir()
    shutil.copy(nvml_library, folder)
    scenario = nvml.write_scenario(tmp_path / "scenario", "gpu0.power = 1")
    environment = {**os.environ, **nvml.environment(folder / nvml_library.name, scenario)}
    command = [sys.executable, "-c", REPLACED, str(folder), str(nvml_library)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_machine_without_the_library_does_not_pay_for_pynvml() -> None:
    program = """
import sys
import otelext.gpu.nvml as room
room.LIBRARY = "libnvidia-ml-that-is-nowhere.so.1"
try:
    room.Nvml().open()
except room.NoNvmlError:
    sys.exit("pynvml" in sys.modules)
sys.exit("it was found")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_machine_without_pynvml_is_told_what_to_install(nvml_library: Path, tmp_path: Path) -> None:
    program = """
import sys
sys.modules["pynvml"] = None
import otelext.gpu.nvml as room
try:
    room.Nvml().open()
except room.NoNvmlError as error:
    print(error)
"""
    scenario = nvml.write_scenario(tmp_path / "scenario", "gpu0.power = 1")
    environment = {**os.environ, **nvml.environment(nvml_library, scenario)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert 'pip install "otelext[gpu]"' in done.stdout
