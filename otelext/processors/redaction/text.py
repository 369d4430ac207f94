"""What is left of a stack trace: where its frames are."""

from __future__ import annotations

import os
import re
import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

from otelext.capture.outcome import frames, place, type_name
from otelext.constant import REDACTED
from otelext.processors.redaction import literals

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRAME: Final = r'\s*File "([^"\n]+)", line (\d{1,7}), in (\S+)\s*'
_NAME: Final = r"[\w.<>]{1,256}"
_MAX_FRAMES: Final = 256
_MAX_CAUSES: Final = 16


def frames_of(exception: BaseException) -> str:
    """File, line and function of each frame of an exception and of those that caused it, as in a stack trace.

    Args:
        exception: The exception; its message and locals are not looked at.

    Returns:
        A line a frame, the oldest first; causes come first, as Python prints them. Where there are any, a line with
        its type stands before the frames of each exception. Empty if it was never raised. Of code that was made at run
        time only the line's number stays, and of such a class nothing.
    """
    lines: list[str] = []
    chain = _chain(exception)
    for link in reversed(chain):
        if len(chain) > 1:
            lines.append(f"{_type(link)}:")
        for code, line in islice(frames(link.__traceback__), max(0, _MAX_FRAMES - len(lines))):
            known = literals.is_program(code)
            file, function = (short_path(code.co_filename), code.co_name) if known else (REDACTED, REDACTED)
            lines.append(place(file, line, function))
    return "\n".join(lines)


def frames_in(stacktrace: str) -> str:
    """The same out of a formatted stack trace.

    A message can hold a line that looks like a frame, so that only frames stay whose file is loaded and has such a
    function.
    """
    return "\n".join(_frames_in(stacktrace))


def _frames_in(stacktrace: str) -> Iterator[str]:
    left = _MAX_FRAMES
    for line in stacktrace.splitlines():
        found = re.fullmatch(_FRAME, line)
        if found is not None and left and literals.has_function(found[1], found[3]):
            left -= 1
            yield place(short_path(found[1]), found[2], found[3])


def _chain(exception: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    link: BaseException | None = exception
    while link is not None and len(chain) < _MAX_CAUSES and not any(link is known for known in chain):
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return chain


def _type(exception: BaseException) -> str:
    """An exception's qualified type, as `exception.type` has it."""
    kind = type(exception)
    module = kind.__module__
    if not isinstance(module, str) or not re.fullmatch(_NAME, kind.__qualname__) or not literals.is_class(kind, module):
        return REDACTED
    return type_name(exception)


def short_path(file: str) -> str:
    """A source file's path below the folder that it was imported from: folders above may name somebody."""
    best = ""
    for folder in (*sys.path, os.getcwd()):  # noqa: PTH109  # a Path is made to be taken apart again
        folder = os.path.join(folder, "")  # noqa: PTH118, PLW2901
        if folder != os.sep and len(folder) > len(best) and file.startswith(folder):
            best = folder
    return file[len(best) :]
