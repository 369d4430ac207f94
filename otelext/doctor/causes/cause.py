"""What a function of this folder returns."""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """Why something failed.

    Attributes:
        text: The most likely cause, for people.
        next_step: The next command to type, or the setting to make, as in `Finding`.
        evidence: What it was concluded from, as others said it.
    """

    text: str
    next_step: str
    evidence: tuple[str, ...] = ()
