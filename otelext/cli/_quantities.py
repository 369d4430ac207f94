"""What options take that are a duration or a size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from otelext.viewer.quantities import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable


class Seconds(click.FloatRange):
    """Seconds within a range, in which `nan` is not, though no comparison says so."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail("nan is no number of seconds.", param, ctx)
        return found


def duration(_ctx: click.Context, _parameter: click.Parameter, text: str) -> float:
    """Seconds, written as `90s`, `15m`, `24h` or `7d`."""
    return _parsed(parse_duration, text)


def since(_ctx: click.Context, _parameter: click.Parameter, text: str) -> float | None:
    """A duration as above, or `all`, which is None."""
    return None if text == "all" else _parsed(parse_duration, text)


def size(_ctx: click.Context, _parameter: click.Parameter, text: str) -> int:
    """Bytes, written as `500MB` or `1GB`."""
    return int(_parsed(parse_size, text))


def _parsed(parse: Callable[[str], float], text: str) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
