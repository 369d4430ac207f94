"""What is written in the source of a program: a text that is, holds nothing of a request."""

from __future__ import annotations

import linecache
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import CodeType, FrameType

_MAX_FILES: Final = 4096
_MAX_SOURCE: Final = 2_000_000  # characters; generated files of that size have no messages
_MAX_DEPTH: Final = 32
# What Python calls code that has no name of its own.
_NAMELESS: Final = frozenset({"<module>", "<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


class Source:
    """What one file says.

    Attributes:
        strings: Its string constants, the parts of f-strings left out.
        functions: Names of its functions and classes.
    """

    __slots__ = ("functions", "strings")

    def __init__(self, strings: frozenset[str] = frozenset(), functions: frozenset[str] = frozenset()) -> None:
        self.strings = strings
        self.functions = functions


_sources: dict[str, Source | None] = {}
_reading = threading.Lock()


def is_literal(text: str, filename: str, frame: FrameType | None = None) -> bool:
    """Whether a text is a string constant in a source file.

    Args:
        text: The text.
        filename: The file, as code objects name it.
        frame: A frame of that file, whose code is asked where there is no source.
    """
    source = of(filename)
    if source is not None and text in source.strings:
        return True
    # Also where there is one: the compiler joins constants that are added up.
    return frame is not None and frame.f_code.co_filename == filename and _has_constant(frame.f_code, text)


def has_function(filename: str, name: str) -> bool:
    """Whether a source file that is loaded has code of that name."""
    # The name may come out of a text, which must not make us read any file, nor keep a place for it.
    if filename not in _sources and not _is_loaded(filename):
        return False
    source = of(filename)
    return source is not None and (name in source.functions or name in _NAMELESS)


def of(filename: str) -> Source | None:
    """What a file says, None where there is no source. Read once."""
    try:
        return _sources[filename]
    except KeyError:
        pass
    with _reading:
        if filename not in _sources:
            if len(_sources) >= _MAX_FILES:
                return None
            _sources[filename] = _read(filename)
        return _sources[filename]


def _is_loaded(filename: str) -> bool:
    return any(getattr(module, "__file__", None) == filename for module in tuple(sys.modules.values()))


def _read(filename: str) -> Source | None:
    import ast  # noqa: PLC0415  # takes milliseconds of a start that needs it seldom

    try:
        text = "".join(linecache.getlines(filename))
        if not text or len(text) > _MAX_SOURCE:
            return None
        with warnings.catch_warnings():
            # What the compiler says of a file it has said already; a warning that is logged would come back here.
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (OSError, RecursionError, SyntaxError, ValueError):
        return None
    finally:
        linecache.cache.pop(filename, None)  # the text itself is not needed again
    strings: set[str] = set()
    functions: set[str] = set()
    pending: list[Any] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                strings.add(node.value)
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            functions.add(node.name)
        if isinstance(node, ast.JoinedStr):
            # Its constant parts are no messages, but what stands between braces may hold whole strings.
            pending.extend(part.value for part in node.values if isinstance(part, ast.FormattedValue))
            continue
        pending.extend(ast.iter_child_nodes(node))
    return Source(frozenset(strings), frozenset(functions))


def _has_constant(code: CodeType, text: str, depth: int = 0) -> bool:
    for constant in code.co_consts:
        if constant == text and isinstance(constant, str):
            return True
        if depth < _MAX_DEPTH and hasattr(constant, "co_consts") and _has_constant(constant, text, depth + 1):
            return True
    return False
