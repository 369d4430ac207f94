"""What a check found: the one fact that every part of the doctor hands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["ok", "warning", "error", "skipped"]

LEVELS: Final[tuple[Level, ...]] = ("ok", "skipped", "warning", "error")
"""From harmless to broken."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Stable id, such as `environment.typo`, by which scripts know it.
        level: `error`: telemetry is lost or goes nowhere. `warning`: it arrives, and something is not as it should be.
            `skipped`: not looked at, as the user asked for or as an earlier check failed.
        summary: One line for people: what is, with the value that was looked at. Never a credential.
        cause: Most likely cause, None where nothing is wrong.
        next_step: The next command to type, or the setting to make, and behind it, after three spaces and in brackets, what
            is to be said of it; None where nothing is wrong. `command` and `hint` are the two.
        evidence: What the cause was concluded from, as others said it, such as the text of an answer.
    """

    check: str
    level: Level
    summary: str
    cause: str | None = None
    next_step: str | None = None
    evidence: tuple[str, ...] = ()

    @property
    def command(self) -> str | None:
        """What of the next step is typed, without what is said about it in brackets behind: a shell takes none there."""
        return None if self.next_step is None else self.next_step.partition("   (")[0]

    @property
    def hint(self) -> str:
        """What is said about it, in its brackets; empty where nothing is."""
        bracket, hint = (self.next_step or "").partition("   (")[1:]
        return f"{bracket.strip()}{hint}"


@dataclass(frozen=True)
class Hop(Finding):
    """The result of looking for the canary at one place of its way.

    Attributes:
        seconds: From its sending until it was visible there; None where it was not seen.
    """

    seconds: float | None = None
