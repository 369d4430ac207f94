"""A group whose commands are the files of a package: it finds them by name and imports one when it is asked for."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

import click

from otelext.cli._extras import extra

if TYPE_CHECKING:
    from collections.abc import Iterator


class Commands(click.Group):
    """Every module of a package without a leading underscore, by its attribute `command`.

    Args:
        package: Name of the package.
    """

    def __init__(self, *args: Any, package: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Names of all commands."""
        return sorted(self._names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        name = cmd_name.replace("-", "_")
        if name not in set(self._names()):
            return None
        with extra("cli", f"{ctx.command_path} {cmd_name}"):
            module = importlib.import_module(f"{self._package}.{name}")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module.__name__}.command is {type(command).__name__}, must be a click command")
        return command

    def _names(self) -> Iterator[str]:
        package = importlib.import_module(self._package)
        return (module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))
