"""How an exception ends an inference. The order of decision is the one in `docs/measurement.md`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from otelext.semconv import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, TracebackType

_CANCELLED = ("CancelledError", "Cancelled")  # asyncio's and trio's; neither library is imported for it
_MAX_FRAMES = 64


def outcome_of(exc: BaseException, *, disconnected: bool, holding: bool) -> Outcome:
    """The outcome of an inference that `exc` ended.

    Args:
        exc: What was raised into or out of the running step, or thrown in while the consumer held a chunk.
        disconnected: Whether the request's client is known to be gone.
        holding: Whether the consumer held a chunk when `exc` came.
    """
    if isinstance(exc, Exception):
        return Outcome.TIMEOUT if _is_timeout(type(exc)) else Outcome.ERROR
    if isinstance(exc, GeneratorExit) or _is_cancellation(exc):
        if disconnected:
            return Outcome.CLIENT_DISCONNECTED
        return Outcome.ABANDONED if holding or isinstance(exc, GeneratorExit) else Outcome.CANCELLED
    # KeyboardInterrupt and SystemExit: somebody outside asked for the end, as a cancellation does.
    return Outcome.ABANDONED if holding else Outcome.CANCELLED


def _is_timeout(kind: type[BaseException]) -> bool:
    # Before Python 3.11 asyncio's and concurrent.futures' TimeoutError are classes of their own; their names tell.
    return issubclass(kind, TimeoutError) or any(c.__name__.endswith(("Timeout", "TimeoutError")) for c in kind.__mro__)


def _is_cancellation(exc: BaseException) -> bool:
    grouped = getattr(exc, "exceptions", None)
    if isinstance(grouped, tuple) and grouped:
        return all(_is_cancellation(inner) for inner in grouped)
    return any(c.__name__ in _CANCELLED for c in type(exc).__mro__)


def type_name(exc: BaseException) -> str:
    """The value of `error.type` and `exception.type`: the qualified class name, without `builtins`."""
    kind = type(exc)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def places(traceback: TracebackType | None) -> str:
    """Where an exception came from, innermost last, a line a frame: file, line and function, no source and no values.

    Messages and source lines can hold what a document said, so they never leave.
    """
    return "\n".join(
        place(code.co_filename, line, code.co_name) for code, line in islice(frames(traceback), _MAX_FRAMES)
    )


def frames(traceback: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    """The frames of a traceback, innermost last: the code that ran, and the line."""
    while traceback is not None:
        yield traceback.tb_frame.f_code, traceback.tb_lineno
        traceback = traceback.tb_next


def place(file: str, line: int | str, function: str) -> str:
    """A frame's line, as Python prints it in a stack trace."""
    return f'File "{file}", line {line}, in {function}'
