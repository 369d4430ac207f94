"""Levels of loggers as one text says them: `info,uvicorn.access=warning`."""

from __future__ import annotations

import logging
from typing import Final

from otelext.capture.failure import report_setup

_NUMBERS: Final = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}


class Levels:
    """What is set for which logger, the root's under an empty name."""

    def __init__(self, numbers: dict[str, int] | None = None) -> None:
        self._numbers = numbers or {}

    def apply(self) -> None:
        """Set them; other loggers keep theirs."""
        for name, number in self._numbers.items():
            logging.getLogger(name or None).setLevel(number)

    def lets(self, name: str, number: int) -> bool:
        """Whether a line of that level passes, where it came past the loggers of the standard library."""
        numbers = self._numbers
        if not numbers:
            return True
        while name and name not in numbers:
            name = name.rpartition(".")[0]
        return number >= numbers.get(name, logging.NOTSET)


def levels_of(text: str, variable: str) -> Levels:
    """Read levels; what can't be read is left out with one warning.

    Args:
        text: A level for all, and `logger=level` for single ones, separated by commas.
        variable: What the text is the value of.
    """
    numbers: dict[str, int] = {}
    wrong = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, level = part.rpartition("=")
        number = level_number(level)
        if number is None or ("=" in part and not name.strip()):
            wrong.append(part)
        else:
            numbers[name.strip()] = number
    if wrong:
        report_setup(
            "otelext: %s=%s: %s is no level; the loggers' own hold (known: %s)",
            variable,
            text,
            ", ".join(wrong),
            ", ".join(_NUMBERS),
        )
    return Levels(numbers)


def level_number(text: str) -> int | None:
    """The number of a level, None for no level."""
    text = text.strip().lower()
    if text.isdecimal() and text.isascii() and len(text) <= len("1000"):
        return int(text)
    return _NUMBERS.get(text)
