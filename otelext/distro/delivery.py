"""One delivery of telemetry, over whatever transport: attempts that end when the process does, and one log line."""

from __future__ import annotations

import random
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from otelext.capture.failure import report_setup
from otelext.distro.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_LONGEST_WAIT_S: Final = 4.0
_JITTER: Final = 0.2


class UnreachedError(Exception):
    """One attempt found no receiver, or one that asked for patience; its text is the reason, for people.

    Attributes:
        retry_after: Seconds after which the receiver wants to be asked again, None where it said nothing.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RefusedError(Exception):
    """The receiver takes nothing from this sender; its text is status and reason, for people."""


class UndeliveredError(Exception):
    """Nobody took the telemetry. It was said already, and the exporter does not try again."""


def deliver(attempt: Callable[[float], T], place: str, timeout: float) -> T:
    """Try until the receiver answers, whatever the answer is.

    Args:
        attempt: Sends once within the given seconds; raises `UnreachedError` where nobody answered, and `RefusedError`
            where the answer is that the sender may not.
        place: Scheme, host and port of the receiver, for the log line.
        timeout: Seconds that all attempts together may take.

    Raises:
        UndeliveredError: The receiver was not reached within `timeout`, refuses the sender, or the process is to end.
    """
    deadline = monotonic() + timeout
    reason = "no time is left"
    wait = 0.0  # the first retry comes at once: a connection that was kept may just have gone stale
    while (budget := min(deadline - monotonic(), PATIENCE.remaining())) > 0:
        try:
            return attempt(budget)
        except UnreachedError as error:
            reason = str(error)
            wait = wait if error.retry_after is None else error.retry_after
        except RefusedError as error:
            _say_refused(place, str(error))
            raise UndeliveredError(str(error)) from error
        if PATIENCE.hurried:
            break
        if wait:
            _say(place, reason)
            if wait >= deadline - monotonic() or PATIENCE.wait(wait):
                break
        wait = min(max(2 * wait, 1.0), _LONGEST_WAIT_S) * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # spreads retries
    _say(place, reason)
    raise UndeliveredError(reason)


def _say(place: str, reason: str) -> None:
    report_setup("otelext: telemetry does not reach %s (%s); the service runs on", place, reason)


def _say_refused(place: str, reason: str) -> None:
    # The whole text is the key of the limit: one line for the three signals, whatever they are answered.
    report_setup(
        "otelext: %s refuses telemetry (%s), which is lost: check OTEL_EXPORTER_OTLP_HEADERS; the service runs on",
        place,
        reason,
    )
