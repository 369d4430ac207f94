"""Compiling the stand-in, and what every call of it goes through: initialisation, versions, errors, waiting."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import textwrap
import threading
import time

import pynvml
import pytest

from otelext.testing import nvml
from otelext.testing.nvml.library import FLAGS, SOURCES

COMPILERS = ["gcc", "clang"]


def program(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_source_compiles_without_a_warning(compiler, tmp_path) -> None:
    command = [compiler, *FLAGS, "-Wall", "-Wextra", "-Werror", *map(str, SOURCES.glob("*.c")), "-o", tmp_path / "x.so"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"no {compiler} here")
    assert done.returncode == 0, done.stderr


def test_without_a_compiler_the_error_names_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"no `cc` on the PATH: install gcc or clang"):
        nvml.build(tmp_path / "built")


def test_what_the_compiler_says_is_told(tmp_path, monkeypatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'stdio.h: No such file' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"stdio\.h: No such file"):
        nvml.build(tmp_path / "built")
    assert list((tmp_path / "built").iterdir()) == []


def test_a_library_that_is_built_is_not_built_again(nvml_library, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvml.build(nvml_library.parent) == nvml_library


def test_a_program_finds_the_library_by_its_environment_alone(nvml_library, tmp_path) -> None:
    scenario = nvml.write_scenario(tmp_path / "scenario", "gpu1.name = Some GPU")
    code = """
        import pynvml
        pynvml.nvmlInit()
        print(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(1)))
    """
    done = program(code, nvml.environment(nvml_library, scenario))
    assert (done.stdout, done.stderr) == ("Some GPU\n", "")


def test_other_folders_of_libraries_stay_in_the_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/before")
    assert nvml.environment(tmp_path / "libnvidia-ml.so.1", tmp_path / "s")["LD_LIBRARY_PATH"] == f"{tmp_path}:/before"


def test_without_a_scenario_there_is_no_driver_and_a_line_says_what_to_set(nvml_library, tmp_path) -> None:
    code = "import pynvml\ntry: pynvml.nvmlInit()\nexcept pynvml.NVMLError as error: print(error)"
    done = program(code, nvml.environment(nvml_library, tmp_path / "missing"))
    assert done.stdout == "Driver Not Loaded\n"
    assert "OTELEXT_NVML_SCENARIO must name a file with a scenario, not" in done.stderr
    assert str(tmp_path / "missing") in done.stderr


def test_each_block_begins_anew(nvml_library, tmp_path, error) -> None:
    for version in ("570.1", "580.2"):
        path = nvml.write_scenario(tmp_path / version, f"driver.version = {version}")
        with nvml.loaded(nvml_library, path):
            assert error(pynvml.nvmlDeviceGetCount) == pynvml.NVML_ERROR_UNINITIALIZED
            pynvml.nvmlInit()
            assert pynvml.nvmlSystemGetDriverVersion() == version
        assert "OTELEXT_NVML_SCENARIO" not in os.environ
        assert error(pynvml.nvmlDeviceGetCount) == pynvml.NVML_ERROR_UNINITIALIZED


def test_another_library_of_that_name_in_the_process_is_refused(nvml_library, tmp_path) -> None:
    other = tmp_path / "libnvidia-ml.so.1"
    source = tmp_path / "other.c"
    source.write_text("int nvmlInitWithFlags(unsigned flags) { return (int)flags; }")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", source, "-o", other], check=True)
    code = f"""
        import ctypes, pathlib
        from otelext.testing import nvml
        ctypes.CDLL({str(other)!r})
        with nvml.loaded(pathlib.Path({str(nvml_library)!r}), pathlib.Path("scenario")):
            pass
    """
    assert "another libnvidia-ml.so.1 is loaded in this process already" in program(code, {}).stderr


def test_every_function_can_be_told_what_becomes_of_it(nvml_library, tmp_path, capfd) -> None:
    """The list of functions that a scenario may name is the list of those that there are."""
    source = "".join(path.read_text() for path in SOURCES.glob("*.c"))
    functions = set(re.findall(r"NVML_API nvmlReturn_t (nvml\w+)\(", source))
    assert len(functions) > 40
    handle = ctypes.CDLL(str(nvml_library))
    assert [name for name in functions if not hasattr(handle, name)] == []
    listed = set(re.findall(r'^    "(nvml\w+)",$', (SOURCES / "parse.c").read_text(), flags=re.MULTILINE))
    assert listed == functions
    text = "\n".join(f"call.{name} = !NO_DATA" for name in functions)
    scenario = nvml.write_scenario(tmp_path / "scenario", text)
    with nvml.loaded(nvml_library, scenario), pytest.raises(pynvml.NVMLError_NoData):
        pynvml.nvmlInit()
    assert not capfd.readouterr().err


def test_initialisations_are_counted(stand_in, error) -> None:
    pynvml.nvmlInit()
    pynvml.nvmlShutdown()
    assert pynvml.nvmlDeviceGetCount() == 0
    pynvml.nvmlShutdown()
    assert error(pynvml.nvmlDeviceGetCount) == pynvml.NVML_ERROR_UNINITIALIZED
    assert error(pynvml.nvmlShutdown) == pynvml.NVML_ERROR_UNINITIALIZED
    pynvml.nvmlInit()


def test_versions_and_errors_have_their_texts(stand_in) -> None:
    stand_in.write("")
    assert pynvml.nvmlSystemGetDriverVersion() == "570.86.15"
    assert pynvml.nvmlSystemGetNVMLVersion() == "12.570.86.15"
    assert pynvml.nvmlSystemGetCudaDriverVersion_v2() == 12080
    assert pynvml.nvmlErrorString(pynvml.NVML_ERROR_GPU_IS_LOST) == "GPU is lost"
    assert pynvml.nvmlErrorString(12345) == "Unknown Error"


def test_a_call_fails_while_the_scenario_says_so(stand_in, error) -> None:
    calls = "call.nvmlDeviceGetCount_v2 = ok @5 !UNKNOWN @10 ok"
    found = []
    for second in (4, 6, 11):
        stand_in.write(calls, at=second)
        found.append(error(pynvml.nvmlDeviceGetCount))
    assert found == [0, pynvml.NVML_ERROR_UNKNOWN, 0]
    assert error(pynvml.nvmlSystemGetDriverVersion) == 0


def test_a_slow_call_waits_and_then_answers(stand_in) -> None:
    stand_in.write("gpus = 2\ncall.nvmlDeviceGetCount_v2 = slow:0.05")
    begun = time.perf_counter()
    assert pynvml.nvmlDeviceGetCount() == 2
    assert time.perf_counter() - begun >= 0.05


def test_while_a_call_hangs_others_go_on_and_a_new_scenario_ends_it(stand_in) -> None:
    stand_in.write("gpus = 2\ncall.nvmlDeviceGetCount_v2 = hang:3600")
    counts: list[int] = []
    hanging = threading.Thread(target=lambda: counts.append(pynvml.nvmlDeviceGetCount()), daemon=True)
    hanging.start()
    for _ in range(20):
        assert pynvml.nvmlSystemGetDriverVersion() == "570.86.15"
        time.sleep(0.002)
    assert hanging.is_alive()
    stand_in.write("gpus = 3")
    hanging.join(30)
    assert counts == [3]


def test_a_hang_ends_when_its_second_comes(stand_in) -> None:
    stand_in.write("call.nvmlDeviceGetCount_v2 = hang:3600 @5 !TIMEOUT", at=4.9)
    with pytest.raises(pynvml.NVMLError_Timeout):
        pynvml.nvmlDeviceGetCount()


def test_a_library_that_is_shut_down_while_a_call_hangs_is_uninitialised_for_it(stand_in, error) -> None:
    stand_in.write("call.nvmlDeviceGetCount_v2 = hang:3600")
    found: list[int] = []
    hanging = threading.Thread(target=lambda: found.append(error(pynvml.nvmlDeviceGetCount)), daemon=True)
    hanging.start()
    pynvml.nvmlShutdown()
    stand_in.write("")
    hanging.join(30)
    assert found == [pynvml.NVML_ERROR_UNINITIALIZED]
    pynvml.nvmlInit()


def test_an_updated_driver_is_a_mismatch_until_the_library_is_loaded_anew(nvml_library, tmp_path) -> None:
    scenario = nvml.write_scenario(tmp_path / "scenario", "driver.version = 570.1\ngpus = 1")
    code = f"""
        import _ctypes, pathlib, time
        import pynvml
        from otelext.testing import nvml

        def said(function, *arguments):
            try:
                return function(*arguments)
            except pynvml.NVMLError as error:
                return str(error)

        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        nvml.write_scenario(pathlib.Path({str(scenario)!r}), "driver.version = 580.2")
        time.sleep(0.011)
        print(said(pynvml.nvmlDeviceGetPowerUsage, gpu))
        print(said(pynvml.nvmlShutdown))
        print(said(pynvml.nvmlInit))
        _ctypes.dlclose(pynvml.nvmlLib._handle)
        pynvml.nvmlLib = None
        pynvml._nvmlGetFunctionPointer_cache.clear()
        print(said(pynvml.nvmlInit))
        print(pynvml.nvmlSystemGetDriverVersion())
    """
    done = program(code, nvml.environment(nvml_library, scenario))
    mismatch = "RM has detected an NVML/RM version mismatch."
    assert done.stdout.splitlines() == [mismatch, "None", mismatch, "None", "580.2"], done.stderr


def test_a_child_that_is_forked_during_a_call_can_call(nvml_library, tmp_path) -> None:
    code = """
        import os, threading
        import pynvml
        pynvml.nvmlInit()
        over = threading.Event()

        def busy():
            while not over.is_set():
                pynvml.nvmlDeviceGetCount()

        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            child = os.fork()
            if child == 0:
                pynvml.nvmlDeviceGetCount()
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        over.set()
        print("done")
    """
    scenario = nvml.write_scenario(tmp_path / "scenario", "gpus = 1")
    assert program(code, nvml.environment(nvml_library, scenario)).stdout == "done\n"
