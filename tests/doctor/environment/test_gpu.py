"""The NVIDIA library, played by a library of the same name and functions."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

from otelext.doctor.environment import gpu
from otelext.doctor.environment.gpu import Library, probe
from tests.doctor.environment.looks import PATH

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler makes the library")

LIBRARY = r"""
#include <string.h>
#include <unistd.h>
#include <stdlib.h>
static int is(const char *what) { const char *set = getenv("STAND_IN"); return set && !strcmp(set, what); }
int nvmlInit_v2(void) { if (is("hangs")) for (;;) pause(); if (is("dies")) abort(); return is("mismatch") ? 18 : 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 18 ? "Driver/library version mismatch" : "Unknown Error"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "580.65.06", size); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { if (is("no count")) return 999; *count = is("one") ? 1 : 8; return 0; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(LIBRARY)
    command = ["cc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", folder / "nvml.c"]
    subprocess.run(command, check=True, capture_output=True)
    return {**PATH, "LD_LIBRARY_PATH": str(folder)}


@pytest.fixture
def absent(monkeypatch, tmp_path):
    """A machine without the library, whose device file is this one, once it is made."""
    if probe(PATH).loads:
        pytest.skip("a real library is here")
    monkeypatch.setattr(gpu, "_DEVICE", tmp_path / "nvidiactl")
    return tmp_path / "nvidiactl"


def test_no_library_and_no_gpu_is_in_order(absent) -> None:
    (finding,) = gpu.examine(PATH)
    assert (finding.level, finding.summary) == ("ok", "no NVIDIA library here: no GPU metrics")


def test_a_gpu_without_the_library_is_named(absent) -> None:
    absent.touch()
    (finding,) = gpu.examine(PATH)
    assert (finding.check, finding.level) == ("environment.gpu", "warning")
    assert "no libnvidia-ml.so.1" in finding.summary
    assert "cannot open shared object file" in (finding.cause or "")


def test_a_container_without_the_utility_capability_is_named(absent) -> None:
    absent.touch()
    (finding,) = gpu.examine({**PATH, "NVIDIA_DRIVER_CAPABILITIES": "compute"})
    assert "NVIDIA_DRIVER_CAPABILITIES=compute leaves it out" in finding.summary
    (finding,) = gpu.examine({**PATH, "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"})
    assert "leaves it out" not in finding.summary


@pytest.mark.parametrize(("played", "devices"), [("many", 8), ("one", 1), ("no count", None)])
def test_the_driver_and_the_gpus_are_said(library, played, devices) -> None:
    environ = {**library, "STAND_IN": played}
    assert probe(environ) == Library(loads=True, driver="580.65.06", devices=devices)
    (finding,) = gpu.examine(environ)
    assert finding.level == "ok"
    assert "driver 580.65.06" in finding.summary
    if devices:
        assert finding.summary.startswith(f"{devices} GPU{'s' if devices > 1 else ''}, ")


def test_a_package_that_is_missing_is_named(library, monkeypatch) -> None:
    monkeypatch.setattr(gpu, "find_spec", lambda _: None)
    (finding,) = gpu.examine(library)
    assert (finding.level, finding.next_step) == ("warning", 'python -m pip install "otelext[gpu]"')


def test_what_the_library_says_against_itself_is_passed_on(library) -> None:
    (finding,) = gpu.examine({**library, "STAND_IN": "mismatch"})
    assert (finding.level, finding.next_step) == ("warning", "nvidia-smi")
    assert "Driver/library version mismatch" in finding.summary


def test_a_library_that_hangs_holds_nobody(library) -> None:
    begun = time.monotonic()
    found = probe({**library, "STAND_IN": "hangs"}, timeout=1.0)
    assert found.why == "it did not answer within 1 s"
    assert time.monotonic() - begun < 10


def test_a_library_that_ends_its_process_ends_no_other(library) -> None:
    assert "it ended the process that asked it" in (probe({**library, "STAND_IN": "dies"}).why or "")
