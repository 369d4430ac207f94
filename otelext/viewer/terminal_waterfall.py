"""One slow request drawn in the terminal: its spans as bars on a time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from otelext.viewer.formats import counted, plain, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from otelext.viewer.figures import Slow
    from otelext.viewer.waterfall import Bar

_NAMES: Final = 26
_FIGURES: Final = 9
_NARROWEST: Final = 16
_WIDEST: Final = 100


def draw_waterfall(slow: Slow, console: Console) -> Iterator[Text]:
    """The lines of one slow request: its figures, the time axis, one line a span."""
    yield from _figures(slow)
    bars = slow["bars"]
    if not bars:
        yield Text("  its spans are no longer in the store", "dim")
        return
    width = max(_NARROWEST, min(_WIDEST, console.width - _NAMES - _FIGURES - 2))
    begin = min(bar["start_s"] for bar in bars)
    end = max(bar["end_s"] for bar in bars)
    scale = width / (end - begin) if end > begin else 0.0
    first_s = slow["inference"]["ttft_s"]
    mark = None if first_s is None else min(width - 1, max(0, int((first_s - begin) * scale)))
    for bar in bars:
        yield _row(bar, begin, scale, width, mark, ascii_only=console.options.ascii_only)
    yield _axis(begin, end, width)
    if slow["more"]:
        yield Text(f"  and {counted(slow['more'], 'more span')}", "dim")


def _figures(slow: Slow) -> Iterator[Text]:
    found = slow["inference"]
    parts = [f"first token {seconds(found['ttft_s'])}" if found["ttft_s"] is not None else "no first token"]
    if found["tpot_s"] is not None:
        parts.append(f"{seconds(found['tpot_s'])} a token")
    if found["output_tokens"] is not None:
        parts.append(counted(found["output_tokens"], "token"))
    if found["consumer_wait_s"] is not None:
        parts.append(f"consumer wait {seconds(found['consumer_wait_s'])}")
    yield Text.assemble(
        (seconds(found["duration_s"]), "bold"), f"  {plain(found['name'])}  ", (plain(found["outcome"]), "yellow")
    )
    yield Text(f"  {', '.join(parts)}")
    yield Text(f"  trace {plain(found['trace_id'])}", "dim")


def _row(bar: Bar, begin: float, scale: float, width: int, mark: int | None, *, ascii_only: bool) -> Text:
    left = min(width - 1, max(0, int((bar["start_s"] - begin) * scale)))
    right = min(width, max(left + 1, round((bar["end_s"] - begin) * scale)))
    block = "=" if ascii_only else "━"
    style = "red" if bar["status"] == "error" else "bold" if bar["outcome"] else "cyan" if bar["stage"] else "dim"
    name = _shortened(f"{'  ' * min(bar['depth'], 6)}{plain(bar['name'])}", ascii_only=ascii_only)
    line = Text(name.ljust(_NAMES) + " ")
    for column in range(width):
        inside = left <= column < right
        if column == mark and (inside or bar["outcome"]):
            line.append("*", "bold magenta")
        else:
            line.append(block if inside else " ", style if inside else "")
    line.append(seconds(bar["end_s"] - bar["start_s"]).rjust(_FIGURES))
    return line


def _shortened(name: str, *, ascii_only: bool) -> str:
    # Names of spans are anyone's and may be long; whole ones are in `--json`.
    if len(name) <= _NAMES:
        return name
    ellipsis = "..." if ascii_only else "…"
    return name[: _NAMES - len(ellipsis)] + ellipsis


def _axis(begin: float, end: float, width: int) -> Text:
    """Times from the inference's start, which is marked where spans of before it leave room."""
    left, right = ("0" if begin == 0 else seconds(begin)), seconds(end)
    zero = int(-begin * width / (end - begin)) if begin < 0 < end else 0
    if len(left) < zero < width - len(right) - 1:
        left = left.ljust(zero) + "0"
    return Text(" " * (_NAMES + 1) + left + right.rjust(width - len(left)), "dim")
