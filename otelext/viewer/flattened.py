"""What a request comes to: rows for the store, and how many of its records cannot be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Flattened:
    """Rows by table, and the records left out, which the response names as OTLP's partial success.

    Attributes:
        rows: Tuples in the order of the table's columns.
        rejected: Records that were left out.
        reason: Why, and what would be right.
    """

    rows: Mapping[str, Sequence[tuple[object, ...]]]
    rejected: int = 0
    reason: str = ""
