"""The command group: finds commands by their files and imports one when it is asked for."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import click

import otelext.cli
from otelext._version import __version__
from otelext.cli._extras import extra

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Commands(click.Group):
    """Every module of `otelext.cli` without a leading underscore, by its attribute `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Names of all commands."""
        return sorted(_names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        name = cmd_name.replace("-", "_")
        if name not in set(_names()):
            return None
        with extra("cli", f"otelext {cmd_name}"):
            module = importlib.import_module(f"otelext.cli.{name}")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"otelext.cli.{name}.command is {type(command).__name__}, must be a click command")
        return command


def _names() -> Iterator[str]:
    return (module.name for module in pkgutil.iter_modules(otelext.cli.__path__) if not module.name.startswith("_"))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="otelext %(version)s")
def root() -> None:
    """Tells why a vision-language-model request was slow and what it cost."""
