"""`otelext report`: where the time of the requests went."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import click

from otelext.cli._extras import extra
from otelext.cli._quantities import since as parse_since

_DEFAULT_URL = "http://127.0.0.1:8321"


@click.command("report", short_help="Show where the time of the requests went.")
@click.option("--url", help=f"Address of a running viewer.  [default: {_DEFAULT_URL}]")
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read this file instead, when no viewer holds it.",
)
@click.option(
    "--since",
    metavar="DURATION",
    callback=parse_since,
    default="1h",
    show_default=True,
    help="How far back to look: 30m, 2h, all.",
)
@click.option(
    "--service",
    "services",
    metavar="NAME",
    multiple=True,
    help="Only this service; may be given several times.  [default: all]",
)
@click.option(
    "--slowest", type=click.IntRange(1, 50), default=5, show_default=True, help="How many slow requests to draw."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option(
    "--svg", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Save the report as a picture too."
)
def command(
    url: str | None,
    store: Path | None,
    since: float | None,
    services: tuple[str, ...],
    slowest: int,
    as_json: bool,
    svg: Path | None,
) -> None:
    """Print requests by outcome, latencies, where the time to first token went, and the slowest requests.

    Exit code 1 when no viewer answers or nothing was received, 2 when used wrongly.
    """
    if url is not None and store is not None:
        raise click.UsageError("--url and --store exclude each other: a viewer holds its own store")
    with extra("viewer", "otelext report"):
        from rich.console import Console  # noqa: PLC0415 (an extra)

        from otelext.viewer.client import ask_viewer, read_store  # noqa: PLC0415
        from otelext.viewer.errors import QueryError, StoreError, UnreachableError  # noqa: PLC0415
        from otelext.viewer.report import is_empty  # noqa: PLC0415
        from otelext.viewer.terminal import nothing_received, print_report  # noqa: PLC0415
    try:
        if store is not None:
            report = read_store(store, since, slowest, services)
        else:
            report = ask_viewer(url or _DEFAULT_URL, since, slowest, services)
    except UnreachableError as error:
        raise click.ClickException(str(error)) from error
    except (StoreError, QueryError) as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps(report, indent=2))
    elif is_empty(report):
        click.echo(nothing_received(report))
    else:
        # A name that the output's encoding lacks is replaced; a report is never lost to one.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        print_report(report, Console(soft_wrap=False))
    if svg is not None and not is_empty(report):
        drawn = Console(soft_wrap=False, record=True, file=io.StringIO(), width=100, force_terminal=True)
        print_report(report, drawn)
        # Less the fonts that it would load from the network.
        picture = re.sub(r"@font-face \{.*?\}\n", "", drawn.export_svg(title="otelext report"), flags=re.DOTALL)
        try:
            svg.write_text(picture, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"the picture {svg} cannot be written: {error.strerror}") from error
    if is_empty(report):
        sys.exit(1)
