"""A request to end that unwinds the stack, so that a terminal and what else is open are left as they were."""

from __future__ import annotations

from typing import NoReturn


def interrupt(_number: int, _frame: object) -> NoReturn:
    """A handler that makes another signal what Ctrl-C is."""
    raise KeyboardInterrupt
