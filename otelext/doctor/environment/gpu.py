"""The NVIDIA library that GPU metrics need, asked in a process of its own: a driver that hangs holds nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelext.doctor.finding import Finding
from otelext.doctor.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECK: Final = "environment.gpu"
_TIMEOUT_S: Final = 10.0
_DEVICE: Final = Path("/dev/nvidiactl")
_CAPABILITIES: Final = "NVIDIA_DRIVER_CAPABILITIES"
_INSTALL: Final = 'python -m pip install "otelext[gpu]"'
# https://docs.nvidia.com/deploy/nvml-api/
_PROBE: Final = r"""
import ctypes, json
def text(call, size=96):
    buffer = ctypes.create_string_buffer(size)
    return buffer.value.decode(errors="replace") if call(buffer, size) == 0 else None
try:
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
except OSError as error:
    print(json.dumps({"loads": False, "why": str(error)}))
else:
    nvml.nvmlErrorString.restype = ctypes.c_char_p
    code = nvml.nvmlInit_v2()
    if code:
        print(json.dumps({"loads": True, "why": nvml.nvmlErrorString(code).decode(errors="replace")}))
    else:
        count = ctypes.c_uint()
        counted = nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
        driver = text(nvml.nvmlSystemGetDriverVersion)
        print(json.dumps({"loads": True, "driver": driver, "devices": count.value if counted else None}))
        nvml.nvmlShutdown()
"""


@dataclass(frozen=True)
class Library:
    """What the NVIDIA Management Library said.

    Attributes:
        loads: Whether it is there.
        why: What it, or the loader, says against it; None where it works.
        driver: The driver's version.
        devices: Number of GPUs.
    """

    loads: bool
    why: str | None = None
    driver: str | None = None
    devices: int | None = None


def examine(environ: Mapping[str, str]) -> Iterator[Finding]:
    """One finding: why there are no GPU metrics, or, of level `ok`, what can be measured."""
    library = probe(environ)
    if not library.loads:
        yield _absent(environ, library)
    elif library.why is not None:
        yield Finding(
            CHECK,
            "warning",
            f"NVIDIA's library can't be used: {library.why}",
            "There are no GPU metrics. After an upgrade of the driver the loaded kernel module is often the old one.",
            "nvidia-smi",
        )
    elif find_spec("pynvml") is None:
        yield Finding(
            CHECK,
            "warning",
            f"{_described(library)}, and nvidia-ml-py is not installed",
            "There are no GPU metrics without it.",
            _INSTALL,
        )
    else:
        yield Finding(CHECK, "ok", f"{_described(library)}, nvidia-ml-py is installed")


def probe(environ: Mapping[str, str], timeout: float = _TIMEOUT_S) -> Library:
    """Ask the library, within `timeout` seconds."""
    try:
        answer = subprocess.run(  # noqa: S603  # this interpreter, a program of ours
            [sys.executable, "-I", "-c", _PROBE],
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Library(loads=True, why=f"it did not answer within {timeout:g} s")
    except OSError as error:
        return Library(loads=True, why=f"it can't be asked: {error}")
    try:
        return Library(**json.loads(answer.stdout))
    except (ValueError, TypeError):
        return Library(loads=True, why=f"it ended the process that asked it, status {answer.returncode}")


def _absent(environ: Mapping[str, str], library: Library) -> Finding:
    if not _DEVICE.exists():
        return Finding(CHECK, "ok", "no NVIDIA library here: no GPU metrics")
    capabilities = environ.get(_CAPABILITIES, "")
    if capabilities and not {"all", "utility"} & {part.strip() for part in capabilities.split(",")}:
        return Finding(
            CHECK,
            "warning",
            f"there is a GPU ({_DEVICE}) and no libnvidia-ml.so.1: {shown(_CAPABILITIES, capabilities)} leaves it out",
            "The container's runtime mounts it for the capability utility alone.",
            f"export {_CAPABILITIES}={capabilities},utility, and start the container again",
        )
    return Finding(
        CHECK,
        "warning",
        f"there is a GPU ({_DEVICE}) and no libnvidia-ml.so.1",
        f"There are no GPU metrics. {library.why or ''}".strip(),
        "start the container with --gpus all, or look for the driver with ldconfig -p | grep nvidia-ml",
    )


def _described(library: Library) -> str:
    count = "an unknown number of GPUs" if library.devices is None else f"{library.devices} GPU"
    many = "s" if library.devices not in {None, 1} else ""
    return f"{count}{many}, driver {library.driver or 'of unknown version'}"
