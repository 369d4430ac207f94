"""The findings in the terminal: a table of what was looked at, and below it what is broken, why, and what to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from otelext.doctor.finding import Hop
from otelext.viewer.formats import plain, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from otelext.doctor.finding import Finding, Level

_WORDS: Final[dict[Level, str]] = {"ok": "ok", "warning": "WARN", "error": "FAIL", "skipped": "skip"}
_STYLES: Final[dict[Level, str]] = {"ok": "green", "warning": "yellow", "error": "bold red", "skipped": "dim"}
_MOST_EVIDENCE: Final = 4


def print_findings(findings: Iterable[Finding], console: Console) -> None:
    """Print them all, those that need a hand once more below with what they need."""
    found = list(findings)
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("visible after", justify="right", no_wrap=True)
    # An address that is longer than the column goes on below: cut, it could be any.
    table.add_column("", overflow="fold")
    for one in found:
        after = seconds(one.seconds) if isinstance(one, Hop) and one.seconds is not None else ""
        style = "dim" if one.level == "skipped" else ""
        table.add_row(
            Text(_WORDS[one.level], _STYLES[one.level]),
            Text(one.check, style),
            Text(after),
            Text(plain(one.summary), style),
        )
    console.print(table)
    for checks, one in _needy(found):
        _print_needy(checks, one, console)


def verdict(findings: Iterable[Finding]) -> str:
    """All of it in one line."""
    found = list(findings)
    counts = {level: sum(one.level == level for one in found) for level in _WORDS}
    if counts["error"]:
        broken = ", ".join(one.check for one in found if one.level == "error")
        return f"{counts['error']} of {len(found)} checks failed: {broken}"
    words: dict[Level, str] = {"warning": "to look at", "skipped": "skipped"}
    rest = ", ".join(f"{counts[level]} {word}" for level, word in words.items() if counts[level])
    return f"nothing is broken: {counts['ok']} checks are well" + (f", {rest}" if rest else "")


def _needy(findings: list[Finding]) -> list[tuple[str, Finding]]:
    """Failures and warnings, those of one cause together, with the names of their checks."""
    together: dict[tuple[str | None, str | None], list[Finding]] = {}
    for one in findings:
        if one.level in {"warning", "error"}:
            together.setdefault((one.cause, one.next_step), []).append(one)
    return [(", ".join(one.check for one in group), group[0]) for group in together.values()]


def _print_needy(checks: str, one: Finding, console: Console) -> None:
    console.print()
    console.print(
        Text.assemble((_WORDS[one.level], _STYLES[one.level]), " ", (checks, "bold"), ": ", plain(one.summary))
    )
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    if one.cause is not None:
        lines.add_row("  cause", Text(plain(one.cause)))
    for evidence in one.evidence[:_MOST_EVIDENCE]:
        lines.add_row("  because", Text(plain(evidence), "dim"))
    if one.command is not None:
        lines.add_row("  next", Text(plain(one.command), "bold"))
        if one.hint:
            lines.add_row("", Text(plain(one.hint)))
    console.print(lines)
