"""The files of `collector/`: they come with the wheel, and in a checkout they are those of the repository."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_INSTALLED: Final = Path(__file__).with_name("collector")
_CHECKOUT: Final = Path(__file__).parents[2] / "collector"


def folder() -> Path:
    """Where they are.

    Raises:
        FileNotFoundError: Neither place has them.
    """
    for place in (_INSTALLED, _CHECKOUT):
        if (place / "single.yaml").is_file():
            return place
    raise FileNotFoundError(
        f"the Collector's files are neither in {_INSTALLED} nor in {_CHECKOUT}: install otelext anew"
    )


@cache
def read(name: str) -> str:
    """The text of one, by its path below `collector/`."""
    return (folder() / name).read_text(encoding="utf-8")
