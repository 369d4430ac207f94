"""What leaves of an exception among attributes: its type, and file, line and function of its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.constant import Constant
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.text import frames_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.processors.redaction.rules import Rules

MESSAGE: Final = semconv.EXCEPTION_MESSAGE
STACKTRACE: Final = semconv.EXCEPTION_STACKTRACE


def leaving(rules: Rules, given: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Attributes as they leave, where some may describe an exception.

    Args:
        rules: The rules.
        given: The attributes; never changed.
        kind: As for `Rules.attributes`.

    Returns:
        `given` itself where all of it leaves as it is.
    """
    message, stacktrace = given.get(MESSAGE), given.get(STACKTRACE)
    if message is None and stacktrace is None:
        return rules.attributes(given, kind)
    rest = {key: value for key, value in given.items() if key not in {MESSAGE, STACKTRACE}}
    found = dict(rules.attributes(rest, kind))
    if message is not None:
        if rules.captures("exception_messages") or MESSAGE in rules.allow:
            found[MESSAGE] = message
        else:
            COUNTS.add(semconv.REDACTED_EXCEPTION_MESSAGE)
    if stacktrace is not None:
        if type(stacktrace) is Constant or rules.captures("exception_stacktraces") or STACKTRACE in rules.allow:
            found[STACKTRACE] = stacktrace
        else:
            COUNTS.add(semconv.REDACTED_EXCEPTION_STACKTRACE)
            frames = frames_in(stacktrace) if isinstance(stacktrace, str) else ""
            if frames:
                found[STACKTRACE] = Constant(frames)
    return found
