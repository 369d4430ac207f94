"""What is asked of every backend before anything is sent: whether it answers, and what time it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.trouble import Trouble


@dataclass(frozen=True)
class Health:
    """How a backend was found.

    Attributes:
        answers: Whether it can be asked for what was sent.
        text: Why it can't, or why it says that it isn't ready; empty where all is well.
        status: HTTP's number where it refuses to be asked.
        trouble: Why nobody answered there.
        skew: Seconds that its clock is ahead of this machine's, None where it does not say.
        uncertainty: Seconds by which `skew` may be wrong: the `Date` of HTTP has whole seconds.
        counts: What it counts of itself, by metric and labels, where it tells.
    """

    answers: bool
    text: str = ""
    status: int | None = None
    trouble: Trouble | None = None
    skew: float | None = None
    uncertainty: float = 0.0
    counts: Mapping[str, float] = field(default_factory=dict)
