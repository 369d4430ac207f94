"""The command `otelext`: the files of this package are its commands."""

from __future__ import annotations

import click

from otelext._version import __version__
from otelext.cli._commands import Commands


@click.command(
    cls=Commands,
    package="otelext.cli",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="otelext %(version)s")
def root() -> None:
    """Tells why a vision-language-model request was slow and what it cost."""
