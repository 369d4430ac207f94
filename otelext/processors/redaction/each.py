"""What may leave of each of several things, of whichever signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from otelext.capture.failure import report_setup
from otelext.processors.redaction.counts import COUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_T = TypeVar("_T")


def leaving(things: Iterable[_T], redact: Callable[[_T], _T], what: str, kind: str) -> list[_T]:
    """What leaves of each. One that can't be looked at is left out, counted and said; the others go.

    Args:
        things: The things.
        redact: Gives one as it leaves; whatever it raises, foreign objects do when they are looked at.
        what: What such a thing is called.
        kind: One of `semconv.REDACTED_KINDS`, by which one that is left out is counted.
    """
    found: list[_T] = []
    for thing in things:
        try:
            found.append(redact(thing))
        except Exception as error:  # noqa: BLE001  # see above
            COUNTS.add(kind)
            report_setup(f"otelext left {what} out that could not be redacted (%s)", type(error).__qualname__)
    return found
