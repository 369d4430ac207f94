"""What a command says when the packages of its extra are not installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extra(name: str, command: str) -> Iterator[None]:
    """Turn a missing package into a line that names the extra to install.

    Args:
        name: The extra that brings the packages which are imported inside.
        command: What needs them, as it is typed.

    Raises:
        click.ClickException: A package is missing; exit code 1.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "otelext":
            raise
        raise click.ClickException(
            f'{command} needs the package {error.name}: pip install "otelext[{name}]"'
        ) from error
