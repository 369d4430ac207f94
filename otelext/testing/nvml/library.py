"""The stand-in library: compiling it, and having pynvml load it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SONAME: Final = "libnvidia-ml.so.1"
SCENARIO: Final = "OTELEXT_NVML_SCENARIO"
SOURCES: Final = Path(__file__).parent
FLAGS: Final = ("-std=c11", "-O1", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", f"-Wl,-soname,{SONAME}")


def build(folder: Path) -> Path:
    """Compiles the stand-in into this folder with the system's `cc`, and gives the library's path.

    A library that is newer than the sources is taken as it is. RuntimeError without a compiler, or with what it said.
    """
    sources = sorted(SOURCES.glob("*.c"))
    library = folder / SONAME
    newest = max(path.stat().st_mtime for path in (*sources, *SOURCES.glob("*.h")))
    if library.exists() and library.stat().st_mtime > newest:
        return library
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError(
            "the stand-in for NVML needs a C compiler, and there is no `cc` on the PATH: install gcc or clang"
        )
    folder.mkdir(parents=True, exist_ok=True)
    # Beside it first: whoever loads the library while another process builds it gets a whole one.
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        made = Path(beside) / SONAME
        command = [compiler, *FLAGS, *map(str, sources), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # no shell
        if done.returncode:
            raise RuntimeError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
        made.replace(library)
    return library


def write_scenario(path: Path, text: str) -> Path:
    """Writes the scenario as a whole: who follows the file sees the old one or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    return path


def environment(library: Path, scenario: Path) -> dict[str, str]:
    """What a subprocess needs in its environment, on top of this one's, to find the stand-in and its scenario."""
    before = os.environ.get("LD_LIBRARY_PATH")
    return {
        "LD_LIBRARY_PATH": os.pathsep.join([str(library.parent), *([before] if before else [])]),
        SCENARIO: str(scenario),
    }


@contextlib.contextmanager
def loaded(library: Path, scenario: Path) -> Iterator[None]:
    """Has pynvml, in this process and within the block, find the stand-in as if it had been loaded at its beginning.

    The library stays in the process, without a driver after the block. A driver's update is seen by processes of their
    own alone (`environment`), as nothing unloads a library that is loaded here. RuntimeError where another
    `libnvidia-ml.so.1` was loaded before.
    """
    try:
        handle = ctypes.CDLL(SONAME, mode=os.RTLD_NOLOAD)
    except OSError:
        # By path first; from now on the loader knows the library by its SONAME, which is what pynvml asks for.
        handle = ctypes.CDLL(str(library))
    try:
        reload = handle.otelext_nvml_reload
    except AttributeError:
        raise RuntimeError(
            f"another {SONAME} is loaded in this process already: use a process of its own, with `environment`"
        ) from None
    before = os.environ.get(SCENARIO)
    os.environ[SCENARIO] = str(scenario)
    reload()
    try:
        yield
    finally:
        if before is None:
            del os.environ[SCENARIO]
        else:
            os.environ[SCENARIO] = before
        reload()
