"""The vision stage: RapidOCR finds and reads the lines of a page (PP-OCR, https://github.com/RapidAI/RapidOCR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rapidocr import RapidOCR

from .images import Pixels

MODEL: Final = "pp-ocrv6"


@dataclass(frozen=True)
class Recognition:
    """What was read from one page.

    Attributes:
        lines: Rows of the page from top to bottom, the pieces of one row joined by a space.
        confidence: Mean of the recogniser's own scores, 0 to 1; None when nothing was read.
    """

    lines: tuple[str, ...]
    confidence: float | None

    @property
    def text(self) -> str:
        """The rows, one a line."""
        return "\n".join(self.lines)


class Vision:
    """Detection and recognition with the weights inside the package; loading takes about a second.

    Args:
        threads: Threads within one operator.
    """

    def __init__(self, threads: int) -> None:
        self._reader = RapidOCR(
            params={
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Global.log_level": "error",
            }
        )
        # The networks are loaded at their first use: without this the first request would pay for it.
        self.read(np.full((160, 320, 3), 255, dtype=np.uint8))

    def read(self, page: Pixels) -> Recognition:
        """Read a page of shape (height, width, 3), blue first. Blocks for about a second of one core."""
        found: Any = self._reader(page)
        if found.txts is None:
            return Recognition((), None)
        return Recognition(_rows(found.boxes, found.txts), sum(found.scores) / len(found.scores))


def _rows(boxes: Any, texts: Sequence[str]) -> tuple[str, ...]:
    """Group boxes of shape (n, 4, 2) into rows: a box joins the row whose middle lies within half its height.

    Rows are straightened by the boxes' own slope first, so that a slightly turned page keeps its rows.
    """
    corners = np.asarray(boxes, dtype=np.float64)
    along = corners[:, 1] - corners[:, 0]
    angle = float(np.median(np.arctan2(along[:, 1], along[:, 0])))
    centres = corners.mean(axis=1)
    down = centres[:, 1] * np.cos(angle) - centres[:, 0] * np.sin(angle)
    across = centres[:, 0] * np.cos(angle) + centres[:, 1] * np.sin(angle)
    heights = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
    rows: list[list[int]] = []
    for index in np.argsort(down):
        last = rows[-1] if rows else []
        if last and down[index] - np.mean(down[last]) < heights[index] / 2:
            last.append(int(index))
        else:
            rows.append([int(index)])
    return tuple(" ".join(texts[i] for i in sorted(row, key=lambda i: float(across[i]))) for row in rows)
