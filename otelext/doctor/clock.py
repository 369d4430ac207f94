"""Whether this machine's clock and the others' agree, by the `Date` of their answers."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from otelext.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelext.doctor.backends.api import Response
    from otelext.doctor.finding import Level
    from otelext.doctor.sender import Answer

CHECK: Final = "clock"
NOTICED_S: Final = 2.0
"""From here on traces of several machines look as if an answer came before its question."""
HARMFUL_S: Final = 60.0
"""From here on what is sent lies outside the minutes that dashboards, alerts and links look at."""
FUTURE_S: Final = 600.0
"""What lies further ahead than this, Prometheus and Loki refuse by default."""
_RESOLUTION_S: Final = 0.5  # a `Date` has whole seconds, cut off


class Skew(NamedTuple):
    """How far a server's clock is ahead of this machine's, in seconds, and by how many that may be wrong."""

    seconds: float | None
    uncertainty: float


def skew(answer: Response) -> Skew:
    """That of whoever answered."""
    return between(answer.date, answer.asked, answer.received)


def skew_of_receiver(answer: Answer) -> Skew:
    """That of the receiver of OTLP, which was asked just before it answered."""
    return between(answer.date, answer.received, answer.received)


def between(date: float | None, asked: float, received: float) -> Skew:
    """From a `Date` that was written at some moment between two of this machine's."""
    if date is None:
        return Skew(None, 0.0)
    travelled = max(0.0, received - asked)
    return Skew(date + _RESOLUTION_S - (asked + received) / 2, _RESOLUTION_S + travelled / 2)


def harm(skews: Iterable[Skew]) -> float | None:
    """Seconds that this machine is ahead of the others, negative where it is behind, None where they agree."""
    known = [one for one in skews if one.seconds is not None]
    seconds = [
        one.seconds for one in known if one.seconds is not None and abs(one.seconds) - one.uncertainty > HARMFUL_S
    ]
    # The others don't err together: where they disagree among themselves, theirs are wrong.
    return -median(seconds) if seconds and len(seconds) * 2 > len(known) else None


def examine(skews: Mapping[str, Skew]) -> Finding:
    """What the clocks say of each other.

    Args:
        skews: Of each server by its name.
    """
    known = {name: one for name, one in skews.items() if one.seconds is not None}
    if not known:
        return Finding(CHECK, "skipped", "no server said what time it has")
    off = {
        name: one.seconds
        for name, one in known.items()
        if one.seconds is not None and abs(one.seconds) - one.uncertainty > NOTICED_S
    }
    if not off:
        return Finding(CHECK, "ok", f"this machine's clock agrees with {_listed(known)}")
    worst = max(off.values(), key=abs)
    level: Level = "error" if abs(worst) > HARMFUL_S else "warning"
    if len(off) == len(known) and max(off.values()) - min(off.values()) <= 2 * NOTICED_S:
        ours = "behind" if worst > 0 else "ahead of"
        cause = "this machine's clock is wrong, as all the others agree" if len(off) > 1 else "one of the two is wrong"
        summary = f"this machine's clock is {_amount(worst)} {ours} {_listed(off)}"
    else:
        described = (f"{name} is {_amount(value)} {'ahead' if value > 0 else 'behind'}" for name, value in off.items())
        summary = f"clocks differ: {', '.join(described)}"
        cause = "the others agree with this machine's" if len(off) < len(known) else "no two of the servers agree"
    if abs(worst) > HARMFUL_S:
        cause += (
            "; what is sent is looked for at the wrong time, and Prometheus and Loki refuse what is 10 minutes ahead"
        )
    return Finding(
        CHECK,
        level,
        summary,
        cause,
        "timedatectl status   (and where it is not synchronized: timedatectl set-ntp true)",
    )


def _amount(seconds: float) -> str:
    size = abs(seconds)
    return f"{size:.0f} s" if size < 120 else f"{size / 60:.0f} min"  # noqa: PLR2004  # where minutes read better


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
