"""Texts that say nothing of a request."""

from __future__ import annotations

from typing import Final


class Constant(str):
    """A text of the program or its settings, or one that was redacted already: it leaves as it is.

    As the body of a log record, and as a log message of ours.
    """

    __slots__ = ()


REDACTED: Final = "[redacted]"
"""What stands where something was taken away."""
