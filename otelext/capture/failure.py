"""One place where a failure of ours ends: a log line a minute, never an exception in a request."""

from __future__ import annotations

import logging
from time import monotonic

from otelext.constant import Constant

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
    if _is_due(what):
        _logger.warning(what, *args, exc_info=exc_info)


def report_setup(what: str, *args: object, exc_info: bool = False) -> None:
    """The same of what the program or whoever runs it has set: of settings, addresses, types, never of a request.

    The line leaves as it is, where that of `report` leaves without its arguments.
    """
    if _is_due(what):
        _logger.warning(Constant(what % args if args else what), exc_info=exc_info)


def _is_due(what: str) -> bool:
    now = monotonic()
    last = _last.get(what)
    if last is not None and now - last < _INTERVAL_S:
        return False
    _last[what] = now
    return True
