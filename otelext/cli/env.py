"""`otelext env`: every environment variable that steers a service, as it is set here."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from typing import Final

import click

from otelext.viewer.formats import plain

_HIDDEN: Final = "(set, not shown)"
_INDENT: Final = "    "
_NARROWEST: Final = 20


@click.command("env", short_help="Show the environment variables that matter.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def command(as_json: bool) -> None:
    """Print every OTEL_ and OTELEXT_ variable that matters with its value here, its default and its meaning.

    A service takes the default where a variable is not set or empty. Values that may hold credentials are not shown.
    """
    from otelext.distro.variables import variables  # noqa: PLC0415 (loads the SDK)

    rows = []
    for variable in variables():
        value = os.environ.get(variable.name, "").strip() or None
        rows.append(
            {
                "name": variable.name,
                "value": _HIDDEN if value is not None and variable.secret else value,
                "default": variable.default or None,
                "meaning": variable.meaning,
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    # No table: the longest names and defaults leave no room for their meaning beside them in 80 columns.
    for row in rows:
        set_to = f"={plain(row['value'])}" if row["value"] is not None else ""
        default = f"default {row['default']}" if row["default"] else "no default" if set_to else "not set"
        click.echo(
            click.style(f"{row['name']}{set_to}", bold=True if set_to else None)
            + click.style(f"  ({default})", dim=True)
        )
        click.echo(_wrapped(row["meaning"] or ""))


def _wrapped(text: str) -> str:
    """Indented, and on a terminal as wide as that: what reads a pipe gets one line."""
    if not sys.stdout.isatty():
        return _INDENT + text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(
        text,
        max(width, _NARROWEST),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
