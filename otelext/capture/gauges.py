"""States that `otelext.facts` keeps and observable instruments read: sizes of queues, loaded models."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUES: Final[dict[str, int | Callable[[], int]]] = {}
"""Size of each queue, or the callable that tells it."""

LOADED_MODELS: Final[dict[str, bool]] = {}
"""Whether each model is loaded."""


def is_size(value: object) -> bool:
    """Whether `value` can be the size of a queue: any library's whole number of 0 or more."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0
