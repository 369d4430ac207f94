"""What users say of an inference, checked: a bad argument is logged and left out, never raised."""

from __future__ import annotations

import operator
import sys
from math import isfinite
from numbers import Real
from typing import Any

from otelext.capture.failure import report


def count_of(name: str, value: object, before: int | None) -> int | None:
    """The count that `value` is, `before` where it is None or none."""
    if value is None:
        return before
    if type(value) is int and value >= 0:
        return value
    try:
        count = operator.index(value)  # type: ignore[arg-type]  # what is no integer raises TypeError
    except Exception:  # noqa: BLE001  # an object's own `__index__` may raise anything
        count = -1
    if count < 0 or isinstance(value, bool):
        report("otelext: %s is a count of 0 or more, not %r; it was left out", name, value)
        return before
    return count


def text_of(name: str, value: object, before: str | None) -> str | None:
    """The text that `value` is, `before` where it is None or none."""
    if value is None:
        return before
    if not isinstance(value, str) or not value:
        report("otelext: %s is a non-empty str, not %r; it was left out", name, value)
        return before
    return value


def cost_of(usd: object) -> float | None:
    """US dollars as a float, None where `usd` is none; any library's real numbers, and decimals."""
    try:
        # Who gives a Decimal has loaded its module.
        decimal: Any = getattr(sys.modules.get("decimal"), "Decimal", Real)
        if isinstance(usd, (Real, decimal)) and not isinstance(usd, bool):
            number: Any = usd
            amount = float(number)
            if isfinite(amount) and amount >= 0:
                return amount
    except Exception:  # noqa: BLE001, S110  # a number's own conversion may raise; it is reported as any other
        pass
    report("otelext: a cost is a finite number of US dollars, not %r; it was left out", usd)
    return None
