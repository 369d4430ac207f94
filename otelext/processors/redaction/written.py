"""What the running code tells of how the program is written, where no source can tell it later."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

_MAX_NAMES: Final = 4096
_FRAMES: Final = 12
_INSTRUMENTATION: Final = "opentelemetry.instrumentation."


class Written:
    """Names that are known to be written in the program; those that are put together at run time are never kept."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def note(self, name: str) -> None:
        """Remember that a name is written in the program."""
        if len(self._names) < _MAX_NAMES:
            self._names.add(name)


WRITTEN: Final = Written()
"""The process's."""

_mains: list[str] = []  # the main script's file, once it was asked for


def main_file() -> str | None:
    """The file of the main script, also at the interpreter's exit, where its module no longer tells it."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(file, str):
        started = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0].endswith(".py") else ""  # noqa: PTH100
        file = next((known for known in (*_mains, started) if known), None)
    elif not _mains:
        _mains.append(file)
    return file


def has_constant(code: CodeType, text: str) -> bool:
    """Whether a text is a constant of that very code, functions inside of it left out."""
    if sys.flags.bytes_warning:  # which comparing a text with bytes would give
        return any(type(constant) is str and constant == text for constant in code.co_consts)
    return text in code.co_consts


class WrittenNameProcessor(SpanProcessor):
    """Notes which names of spans are constants of the code that starts them: typed in, installed or compiled.

    Only names that were not seen before cost more than a look-up.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # the SDK's signature
        """Note the span's name if a function around is written with it. Never raises."""
        name = span.name
        if type(name) is not str or name in WRITTEN:
            return
        scope = span.instrumentation_scope
        if scope is not None and scope.name.startswith(_INSTRUMENTATION):
            return  # composed of what is on the span
        main_file()  # which can't be asked any more when the last spans are exported
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # as logging finds callers
        for _ in range(_FRAMES):
            if frame is None:
                return
            if has_constant(frame.f_code, name):
                WRITTEN.note(name)
                return
            frame = frame.f_back
