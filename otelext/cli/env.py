"""`otelext env`: every environment variable that steers a service, as it is set here."""

from __future__ import annotations

import json
import os

import click

_HIDDEN = "(set, not shown)"


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
    from rich.console import Console  # noqa: PLC0415 (an extra)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("variable", "value", "default", "meaning"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "variable")
    for row in rows:
        # Text, not markup: values are the user's.
        shown = Text(row["value"] or "", style="bold"), Text(row["default"] or "", style="dim")
        table.add_row(row["name"] or "", *shown, row["meaning"])
    Console(soft_wrap=False).print(table)
