"""`otelext gpu`: the GPUs of this host as they are now."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otelext.cli._extras import extra
from otelext.cli._quantities import Seconds
from otelext.cli._signals import interrupt

if TYPE_CHECKING:
    from otelext.gpu.lease import Holder
    from otelext.gpu.once import Look

_APART_S = 0.2


@click.command("gpu", short_help="Show the GPUs of this host.")
@click.option("--once", is_flag=True, help="Print them once, and end.  [default where the output is no terminal]")
@click.option("--json", "as_json", is_flag=True, help="Print all that was read once, as JSON.")
@click.option("--explain", is_flag=True, help="Print why each reading that is missing is missing.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a scenario of this host to FILE, for the stand-in of otelext.testing.nvml.",
    metavar="FILE",
)
@click.option(
    "--seconds",
    type=Seconds(min=0, max=3600),
    metavar="SECONDS",
    help="How long --record goes on, with a pass every --interval; Ctrl-C ends it early.  [default: one pass]",
)
@click.option("--force", is_flag=True, help="Overwrite the FILE of --record.")
@click.option(
    "--interval",
    type=Seconds(min=0.1, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two readings.",
)
@click.option("--folder", default="", envvar="OTELEXT_GPU_FOLDER", help="Folder that the processes of this host share.")
def command(
    once: bool,
    as_json: bool,
    explain: bool,
    record: Path | None,
    seconds: float | None,
    force: bool,
    interval: float,
    folder: str,
) -> None:
    """Show utilization, memory, temperature, power and the rest of each GPU and MIG device, live until q or Ctrl-C.

    It reads them itself, and leaves the export to whichever process has the lease of this host, which the last line
    names. Exit code 1 where there is nothing to read, 2 when used wrongly.
    """
    if sum((as_json, explain, record is not None)) > 1:
        raise click.UsageError("--json, --explain and --record exclude each other")
    if record is None and (force or seconds is not None):
        raise click.UsageError("--force and --seconds belong to --record")
    if record is not None and record.exists() and not force:
        raise click.UsageError(f"{record} is there already; --force overwrites it")
    with extra("cli", "otelext gpu"):
        from rich.console import Console  # noqa: PLC0415 (an extra)

        from otelext.cli._gpu_live import show_live  # noqa: PLC0415
        from otelext.cli._gpu_table import table  # noqa: PLC0415
    from otelext.cli._gpu_words import explained, in_words, shown  # noqa: PLC0415
    from otelext.gpu.nvml import NoNvmlError, NvmlError  # noqa: PLC0415
    from otelext.gpu.once import HangError, Look  # noqa: PLC0415

    # What it would log of GPUs that are lost, it shows.
    logging.getLogger("otelext").addHandler(logging.NullHandler())
    # A name that the output's encoding lacks is replaced; no line is lost to one.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console(soft_wrap=False)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with Look(interval) as look:
            if record is not None:
                _record(record, look, seconds or 0.0, interval)
                return
            snapshot = look.first(_APART_S)
            if as_json:
                click.echo(json.dumps(shown(snapshot, _holder(folder)), indent=2))
            elif explain:
                for line in explained(snapshot):
                    click.echo(line)
            elif once or not console.is_terminal:
                console.print(table(snapshot, _holder(folder), console))
            else:
                show_live(snapshot, look, lambda: _holder(folder), interval, console)
    except (NoNvmlError, NvmlError) as error:
        raise click.ClickException(f"there is no GPU telemetry here: {in_words(error)}") from error
    except HangError as error:
        raise click.ClickException(f"the GPUs can't be read: {error}") from error
    except KeyboardInterrupt:
        sys.exit(0)


def _holder(configured: str) -> Holder | None:
    from otelext.gpu.folder import existing_folder  # noqa: PLC0415
    from otelext.gpu.lease import holder  # noqa: PLC0415

    folder = existing_folder(configured)
    return None if folder is None else holder(folder)


def _record(path: Path, look: Look, seconds: float, interval: float) -> None:
    from otelext.gpu.scenario import Recording  # noqa: PLC0415

    recording, snapshot = Recording(), look.first(_APART_S)
    begun = time.monotonic()
    recording.add(snapshot)
    passes = 1
    try:
        while passes * interval <= seconds:
            time.sleep(max(0.0, begun + passes * interval - time.monotonic()))
            recording.add(look.again())
            passes += 1
    except KeyboardInterrupt:
        click.echo("ended early", err=True)
    try:
        path.write_text(recording.text(), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    devices, noun = len(snapshot.known), "pass" if passes == 1 else "passes"
    click.echo(f"wrote {path}: {devices} device{'' if devices == 1 else 's'}, {passes} {noun}")
