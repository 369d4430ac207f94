"""The session with NVML: NVIDIA's own bindings, loaded when needed, with errors by name and calls that are watched.

https://docs.nvidia.com/deploy/nvml-api/. A call can hang for as long as the driver does, so that whoever calls it does
so on a thread that nobody waits for.
"""

from __future__ import annotations

import ctypes
import itertools
import re
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType

LIBRARY: Final = "libnvidia-ml.so.1"
NOT_SUPPORTED: Final = "NVML_ERROR_NOT_SUPPORTED"
NO_PERMISSION: Final = "NVML_ERROR_NO_PERMISSION"
FUNCTION_NOT_FOUND: Final = "NVML_ERROR_FUNCTION_NOT_FOUND"
LASTING: Final = frozenset(
    {
        NOT_SUPPORTED,
        NO_PERMISSION,
        FUNCTION_NOT_FOUND,
        "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
        "NVML_ERROR_DEPRECATED",
    }
)
"""Errors that the next call would give as well."""
OF_DEVICE: Final = frozenset({"NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_GPU_NOT_FOUND", "NVML_ERROR_RESET_REQUIRED"})
"""Errors after which a device is gone."""
OF_SESSION: Final = frozenset(
    {"NVML_ERROR_UNINITIALIZED", "NVML_ERROR_DRIVER_NOT_LOADED", "NVML_ERROR_LIB_RM_VERSION_MISMATCH"}
)
"""Errors after which nothing answers until the library is initialised again."""
_SPELLINGS: Final = itertools.count(1)
"""No spelling of a path is used twice in a process, nor in one that is forked of it."""
_MAPPED: Final = re.compile(r"(/\S*)/libnvidia-ml\.so[^/ ]*( \(deleted\))?$", re.MULTILINE)


class NvmlError(Exception):
    """A call gave an error.

    Attributes:
        name: Of the error, such as `NVML_ERROR_NOT_SUPPORTED`.
    """

    def __init__(self, name: str, call: str) -> None:
        super().__init__(f"{call}: {name}")
        self.name = name


class NoNvmlError(Exception):
    """NVML can't be used on this machine; the message says why."""


class Call(NamedTuple):
    """A call that has not returned.

    Attributes:
        name: Of the function.
        since_ns: When it was made, by `time.perf_counter_ns`.
    """

    name: str
    since_ns: int


class Nvml:
    """NVML in this process.

    Attributes:
        calls: Calls that were made so far.
        under_way: The call that has not returned, read by other threads.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.under_way: Call | None = None
        self._pynvml: Any = None
        self._opened = False
        self._names: dict[int, str] = {}
        self._looked_at: set[tuple[int, int, int]] = set()

    def open(self) -> None:
        """Load the library and initialise it.

        Raises:
            NoNvmlError: It isn't there, or pynvml isn't.
            NvmlError: It can't be initialised.
        """
        if self._pynvml is None:
            self._pynvml = _load()
            self._names = {
                value: name
                for name, value in vars(self._pynvml).items()
                if name.startswith("NVML_ERROR_") and isinstance(value, int)
            }
        self.call("nvmlInit")
        self._opened = True

    def close(self) -> None:
        """Give back what `open` took, and no more: NVML counts, and other code of this process may use it too."""
        if self._opened:
            self._opened = False
            with suppress(NvmlError):
                self.call("nvmlShutdown")

    def load_anew(self) -> bool:
        """Take the library that is installed now in place of the one that was loaded, as after an update of the driver.

        Returns:
            Whether there is another one; there is none before `open`.
        """
        # What is asked for by a name that it was loaded by is given again; by another spelling it is looked up on disk,
        # and compared by its inode. The old one stays mapped, since somebody may be within it.
        if self._pynvml is None:
            return False
        for installed in _installed():
            with suppress(OSError):
                status = installed.stat()
                version = (status.st_dev, status.st_ino, status.st_mtime_ns)
                if version in self._looked_at:
                    continue
                spelling = f"{installed.parent}{'/.' * next(_SPELLINGS)}/{installed.name}"
                library = ctypes.CDLL(spelling)
                self._looked_at.add(version)
                if library._handle != getattr(self._pynvml.nvmlLib, "_handle", None):  # noqa: SLF001  # tells two apart
                    self._pynvml.nvmlLib = library
                    self._pynvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001  # there is no public way
                    return True
        return False

    def call(self, name: str, *args: Any) -> Any:  # whatever the function returns
        """Call a function of pynvml.

        Raises:
            NvmlError: It gave an error.
        """
        function = getattr(self._pynvml, name, None)
        if function is None:  # pynvml is older than the function
            raise NvmlError(FUNCTION_NOT_FOUND, name)
        self.calls += 1
        self.under_way = Call(name, perf_counter_ns())
        try:
            return function(*args)
        except self._pynvml.NVMLError as error:
            raise NvmlError(self.error_name(error.value), name) from None
        finally:
            self.under_way = None

    def error_name(self, code: int) -> str:
        """The name of an error's number."""
        return self._names.get(code, f"NVML_ERROR_{code}")

    def __getattr__(self, name: str) -> Any:
        """A constant or a struct of pynvml."""
        if self._pynvml is None or name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._pynvml, name)


def _installed() -> set[Path]:
    """The library's file in each folder from which one is mapped, be that one still there or not."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    found = set()
    for folder, _ in _MAPPED.findall(maps):
        with suppress(OSError):
            found.add((Path(folder) / LIBRARY).resolve(strict=True))
    return found


def check_library() -> None:
    """Load NVIDIA's library alone, at a fraction of what pynvml costs where there is none.

    Raises:
        NoNvmlError: It isn't there.
    """
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        raise NoNvmlError(f"{LIBRARY} is not installed here") from None


def _load() -> ModuleType:
    check_library()
    try:
        import pynvml  # noqa: PLC0415  # thousands of lines
    except ImportError:
        raise NoNvmlError('the package nvidia-ml-py is not installed: pip install "otelext[gpu]"') from None
    return pynvml  # type: ignore[no-any-return]
