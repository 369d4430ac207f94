"""One place where a failure of ours ends: a log line a minute, never an exception in a request."""

from __future__ import annotations

import logging
from time import monotonic

_logger = logging.getLogger("otelext")
_INTERVAL_S = 60.0
_last: dict[str, float] = {}


def report(what: str, *args: object, exc_info: bool = False) -> None:
    """Log a warning, at most once a minute for each `what`.

    Args:
        what: The message in `%`-style; also the key of the limit, so values belong into `args`.
        args: Values for the message.
        exc_info: Whether the exception being handled goes with it.
    """
    now = monotonic()
    last = _last.get(what)
    if last is not None and now - last < _INTERVAL_S:
        return
    _last[what] = now
    _logger.warning(what, *args, exc_info=exc_info)
