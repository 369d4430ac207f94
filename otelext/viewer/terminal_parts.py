"""What the parts of the report are drawn with: headings, lines, tables and bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

BAR: Final = 28
_SHORTEST_BAR: Final = 8
_GAP: Final = 3  # between two columns of a table


def bar(part: float, width: int, console: Console) -> str:
    """A bar as long as a share of `width`, in characters that the output can carry."""
    length = round(max(0.0, min(1.0, part)) * width)
    return ("#" if console.options.ascii_only else "█") * (length or (1 if part > 0 else 0))


def heading(console: Console, text: str, note: str = "") -> None:
    """Begin a part."""
    console.print()
    sentence(console, Text.assemble((text, "bold"), (f"  {note}" if note else "", "dim")))


def sentence(console: Console, text: RenderableType) -> None:
    """A sentence, as wide as there is room."""
    console.print(text, overflow="fold", highlight=False)


def new_table(*columns: str, right: int = 0) -> Table:
    """A table whose last `right` columns are figures; nothing is ever cut."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="dim")
    for i, column in enumerate(columns):
        figure = i >= len(columns) - right
        table.add_column(column, overflow="fold", justify="right" if figure else "left", no_wrap=figure)
    return table


def room_for_bars(console: Console, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Width left for the bars of a table beside its other columns, whose text is worth more than long bars."""
    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    return max(_SHORTEST_BAR, min(BAR, console.width - sum(widths) - _GAP * len(widths)))
