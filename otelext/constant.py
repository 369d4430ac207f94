"""Texts that say nothing of a request."""

from __future__ import annotations


class Constant(str):
    """A text of the program or its settings, or one that was redacted already: it leaves as it is.

    As the body of a log record, and as an argument of a log message of ours.
    """

    __slots__ = ()
