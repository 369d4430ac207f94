"""States that `otelext.facts` keeps and observable instruments read: sizes of queues, loaded models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUES: Final[dict[str, int | Callable[[], int]]] = {}
"""Size of each queue, or the callable that tells it."""

LOADED_MODELS: Final[dict[str, bool]] = {}
"""Whether each model is loaded."""
