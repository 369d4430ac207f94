"""Bytecode instructions of a token: what of its cost is the same on every machine with the same Python."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_STEPS = 10


def instructions(stream: Any) -> float:  # a generator, whatever its type says
    """Bytecode instructions a token in the frame of the generator or async generator that measures, once it flows.

    An async generator must never wait.
    """
    found = 0
    asynchronous = hasattr(stream, "ag_frame")

    def step() -> None:
        if not asynchronous:
            next(stream)
            return
        try:
            stream.__anext__().send(None)
        except StopIteration:
            return
        raise RuntimeError(f"{stream!r} waits")

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal found
        frame.f_trace_opcodes = True
        found += event == "opcode"
        return trace

    for _ in range(3):
        step()
    frame = stream.ag_frame if asynchronous else stream.gi_frame
    frame.f_trace = trace
    frame.f_trace_opcodes = True
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        for _ in range(_STEPS):
            step()
    finally:
        sys.settrace(before)
    return found / _STEPS
