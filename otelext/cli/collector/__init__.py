"""`otelext collector`: its commands are the files of this package, thin ones around `otelext.pipeline`."""

from __future__ import annotations

import click

from otelext.cli._commands import Commands


@click.command("collector", cls=Commands, package=__name__, short_help="Configure the OpenTelemetry Collector.")
def command() -> None:
    """Write configurations of the OpenTelemetry Collector, and check those that there are."""
