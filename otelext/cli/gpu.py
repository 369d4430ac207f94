"""`otelext gpu`: the GPUs of this host as they are now."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otelext.cli._extras import extra

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.gpu.lease import Holder
    from otelext.gpu.snapshot import Snapshot


@click.command("gpu", short_help="Show the GPUs of this host.")
@click.option("--once", is_flag=True, help="Print them once, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print them once as JSON.")
@click.option("--explain", is_flag=True, help="Print why each reading that is missing is missing.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a scenario of this host to FILE, for the stand-in of otelext.testing.nvml.",
    metavar="FILE",
)
@click.option("--force", is_flag=True, help="Overwrite the FILE of --record.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two readings.",
)
@click.option("--folder", default="", envvar="OTELEXT_GPU_FOLDER", help="Folder that the processes of this host share.")
def command(
    once: bool, as_json: bool, explain: bool, record: Path | None, force: bool, interval: float, folder: str
) -> None:
    """Show utilization, memory, temperature, power and the rest of each GPU and MIG device, live until Ctrl-C.

    It reads them itself, and leaves the export to whichever process has the lease of this host, which the last line
    names. Exit code 1 where there is nothing to read, 2 when used wrongly.
    """
    if sum((once, as_json, explain, record is not None)) > 1:
        raise click.UsageError("--once, --json, --explain and --record exclude each other")
    if record is not None and record.exists() and not force:
        raise click.UsageError(f"{record} is there already; --force overwrites it")
    with extra("cli", "otelext gpu"):
        from rich.console import Console  # noqa: PLC0415 (an extra)

        from otelext.cli._gpu_table import explained, shown, table  # noqa: PLC0415
    from otelext.gpu.nvml import NoNvmlError, NvmlError  # noqa: PLC0415
    from otelext.gpu.once import read_once  # noqa: PLC0415

    def look(apart: float = 0.2) -> tuple[Snapshot, Holder | None]:
        return read_once(apart), _holder(folder)

    try:
        if record is not None:
            _record(record, look()[0])
        elif as_json:
            click.echo(json.dumps(shown(*look()), indent=2))
        elif explain:
            for line in explained(look()[0]):
                click.echo(line)
        elif once or not sys.stdout.isatty():
            Console(soft_wrap=False).print(table(*look(), _narrow()))
        else:
            _live(look, interval, table)
    except (NoNvmlError, NvmlError) as error:
        raise click.ClickException(f"there is no GPU telemetry here: {error}") from error


def _holder(configured: str) -> Holder | None:
    from otelext.gpu.folder import existing_folder  # noqa: PLC0415
    from otelext.gpu.lease import holder  # noqa: PLC0415

    folder = existing_folder(configured)
    return None if folder is None else holder(folder)


def _narrow() -> bool:
    """Whether the output carries ASCII alone."""
    try:
        "█°".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return True
    return False


def _live(look: Callable[[float], tuple[Snapshot, Holder | None]], interval: float, table: Any) -> None:
    from rich.live import Live  # noqa: PLC0415 (an extra)

    with suppress(KeyboardInterrupt), Live(table(*look(0.2), _narrow()), auto_refresh=False, screen=False) as live:
        while True:
            live.update(table(*look(interval), _narrow()), refresh=True)


def _record(path: Path, snapshot: Snapshot) -> None:
    from otelext.gpu.scenario import scenario  # noqa: PLC0415

    try:
        path.write_text(scenario(snapshot), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {path}: {len(snapshot.known)} devices")
