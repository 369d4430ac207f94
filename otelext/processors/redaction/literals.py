"""What is written in the source of a program: a text that is, holds nothing of a request."""

from __future__ import annotations

import linecache
import os
import sys
import warnings
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import TYPE_CHECKING, Final

from otelext.processors.redaction.written import main_file

if TYPE_CHECKING:
    from types import FrameType

    from _typeshed import ReadableBuffer

_MAX_FILES: Final = 4096
_MAX_SOURCE: Final = 2_000_000  # bytes; generated files of that size have no messages
# What Python calls code that has no name of its own.
_NAMELESS: Final = frozenset({"<module>", "<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


class Source:
    """What one file says.

    Attributes:
        strings: Its string constants; those parts of f-strings that are constant, too.
        functions: Names of its functions and classes.
    """

    __slots__ = ("functions", "strings")

    def __init__(self, strings: frozenset[str] = frozenset(), functions: frozenset[str] = frozenset()) -> None:
        self.strings = strings
        self.functions = functions


_sources: dict[str, Source | None] = {}
_loaded: set[str] = set()


def is_literal(text: str, filename: str, frame: FrameType | None = None) -> bool:
    """Whether a text is a string constant in a source file.

    Args:
        text: The text.
        filename: The file, as code objects name it.
        frame: A frame of that file, whose code is asked where there is no source, or another one by now.
    """
    source = of(filename)
    if source is not None and text in source.strings:
        return True
    return frame is not None and frame.f_code.co_filename == filename and text in _source(frame.f_code).strings


def has_function(filename: str, name: str) -> bool:
    """Whether a source file that is loaded has code of that name."""
    return holds(filename, name) and of(filename) is not None


def is_program(code: CodeType) -> bool:
    """Whether code that ran comes from a file that was imported: what is made at run time may be made of data."""
    filename = code.co_filename
    if filename.startswith("<frozen "):
        return filename[len("<frozen ") : -1] in sys.modules
    return holds(filename, code.co_name)


def holds(filename: str, name: str) -> bool:
    """Whether a file is loaded, and has code of that name as far as its source can be read."""
    # Names may come out of a text, which must not make us read any file, nor keep a place for it.
    if not _is_loaded(filename):
        return False
    source = of(filename)
    return source is None or name in source.functions or name in _NAMELESS


def is_class(kind: type, module: str) -> bool:
    """Whether a class is one that a loaded module holds or defines: the name of any other may be made of data.

    Args:
        kind: The class.
        module: The name of its module.
    """
    holder = sys.modules.get(module)
    parts = kind.__qualname__.split(".")
    found: object = holder
    for part in parts:
        found = getattr(found, "__dict__", {}).get(part)
    if found is kind:
        return True
    filename = getattr(holder, "__file__", None)
    source = of(filename) if isinstance(filename, str) else None
    return source is not None and all(part == "<locals>" or part in source.functions for part in parts)


def of(filename: str) -> Source | None:
    """What a file says, None where there is no source. Read once."""
    try:
        return _sources[filename]
    except KeyError:
        pass
    if len(_sources) >= _MAX_FILES:
        return None
    # Without a lock, which a fork could leave locked; two threads that read a file find the same.
    found = _sources[filename] = _read(filename)
    return found


def _is_loaded(filename: str) -> bool:
    if filename in _loaded or filename == main_file():
        return True
    if any(getattr(module, "__file__", None) == filename for module in tuple(sys.modules.values())):
        if len(_loaded) < _MAX_FILES:
            _loaded.add(filename)
        return True
    return False


class _Reader(SourceFileLoader):
    """Reads a module's code as its import does, mostly from the cache beside it, and writes nothing."""

    def set_data(self, path: str, data: ReadableBuffer, *, _mode: int = 0o666) -> None:
        """Leave the cache as it is."""


def _read(filename: str) -> Source | None:
    # Code, not a tree: Python up to 3.12 fails when two threads make trees, and printing a traceback makes them too
    # (https://github.com/python/cpython/issues/106905).
    try:
        code = _code_of(filename)
    except Exception:  # noqa: BLE001  # a file that is gone, no Python, or more than the compiler can
        return None
    return None if code is None else _source(code)


def _source(code: CodeType) -> Source:
    strings: set[str] = set()
    functions: set[str] = set()
    pending: list[object] = [code]
    while pending:
        constant = pending.pop()
        if isinstance(constant, str):
            strings.add(constant)
        elif isinstance(constant, (tuple, frozenset)):
            pending.extend(constant)
        elif isinstance(constant, CodeType):
            functions.add(constant.co_name)
            pending.extend(constant.co_consts)
    return Source(frozenset(strings), frozenset(functions))


def _code_of(filename: str) -> CodeType | None:
    if os.path.isfile(filename):  # noqa: PTH113  # a start should not load pathlib for it
        small = os.path.getsize(filename) <= _MAX_SOURCE  # noqa: PTH202
        return _Reader("_", filename).get_code("_") if small else None
    kept = filename in linecache.cache  # by whoever made the code, for the tracebacks of it
    text = "".join(linecache.getlines(filename))
    if not kept:
        linecache.cache.pop(filename, None)
    if not text or len(text) > _MAX_SOURCE:
        return None
    with warnings.catch_warnings():
        # What the compiler says of a file it has said already; a warning that is logged would come back here.
        warnings.simplefilter("ignore")
        return compile(text, filename, "exec", dont_inherit=True)
