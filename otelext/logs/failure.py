"""What leaves of an exception that was logged: its type and where its frames are."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.capture.outcome import type_name
from otelext.constant import Constant
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.exceptions import MESSAGE, STACKTRACE
from otelext.processors.redaction.text import frames_of

if TYPE_CHECKING:
    from otelext.processors.redaction.rules import Rules

KEYS: Final = (semconv.EXCEPTION_TYPE, MESSAGE, STACKTRACE)
"""Names of the attributes that describe an exception."""


def exception_of(exc_info: object) -> BaseException | None:
    """The exception that was logged.

    Args:
        exc_info: As loggers take it: an exception, what `sys.exc_info` returns, or something true for the one being
            handled.
    """
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        raised = exc_info[1] if len(exc_info) > 1 else None
        return raised if isinstance(raised, BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def describe(raised: BaseException, rules: Rules) -> dict[str, Any]:
    """The attributes that describe an exception. Never raises.

    Args:
        raised: The exception.
        rules: What may leave.
    """
    found: dict[str, Any] = {}
    try:
        found[semconv.EXCEPTION_TYPE] = type_name(raised)
        if rules.captures("exception_messages"):
            found[MESSAGE] = str(raised)
        else:
            COUNTS.add(semconv.REDACTED_EXCEPTION_MESSAGE)
        if rules.captures("exception_stacktraces"):
            found[STACKTRACE] = Constant("".join(traceback.format_exception(raised)))
        elif frames := frames_of(raised):
            found[STACKTRACE] = Constant(frames)
    except Exception:  # noqa: BLE001  # the exception's own methods
        COUNTS.add(semconv.REDACTED_EXCEPTION_MESSAGE)
    return found
