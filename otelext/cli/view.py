"""`otelext view`: run the embedded viewer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otelext.cli._extras import extra
from otelext.cli._quantities import duration, size

if TYPE_CHECKING:
    from otelext.viewer.server import Addresses

_PORT = click.IntRange(0, 65535)


@click.command("view", short_help="Run the embedded viewer.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=_PORT, default=8321, show_default=True, help="Port of report and API; 0 takes a free one.")
@click.option("--otlp-http-port", type=_PORT, default=4318, show_default=True, help="Port of OTLP/HTTP; 0 likewise.")
@click.option("--otlp-grpc-port", type=_PORT, default=4317, show_default=True, help="Port of OTLP/gRPC; 0 likewise.")
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to keep the data in; without it they are in memory.",
)
@click.option(
    "--max-age", metavar="DURATION", callback=duration, default="24h", show_default=True, help="Older data is deleted."
)
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=size,
    default="1GB",
    show_default=True,
    help="Beyond it the oldest data is deleted.",
)
@click.option(
    "--ports-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the addresses to this file as JSON when all ports answer.",
)
def command(
    host: str,
    port: int,
    otlp_http_port: int,
    otlp_grpc_port: int,
    store: Path | None,
    max_age: float,
    max_size: int,
    ports_file: Path | None,
) -> None:
    """Receive OTLP traces, metrics and logs and keep them for `otelext report`.

    Point a service here with OTEL_EXPORTER_OTLP_ENDPOINT. Ends with exit code 0 on Ctrl-C or SIGTERM.
    """
    with extra("viewer", "otelext view"):
        from otelext.viewer.errors import PortInUseError, StoreError  # noqa: PLC0415 (an extra)
        from otelext.viewer.hosts import is_loopback  # noqa: PLC0415
        from otelext.viewer.retention import Bounds  # noqa: PLC0415
        from otelext.viewer.server import Settings, serve  # noqa: PLC0415
    try:
        bounds = Bounds(max_age, max_size)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not is_loopback(host):
        click.echo(
            f"Warning: {host} can be reached from other machines, and there is no authentication: "
            "anyone there can read what is stored and send more.",
            err=True,
        )

    def ready(addresses: Addresses) -> None:
        if ports_file is not None:
            try:
                addresses.write(ports_file)
            except OSError as error:
                raise click.ClickException(f"the file {ports_file} cannot be written: {error.strerror}") from error
        click.echo(
            f"report and API  {addresses.viewer}\n"
            f"OTLP/HTTP       {addresses.otlp_http}\n"
            f"OTLP/gRPC       {addresses.otlp_grpc}\n"
            f"store           {store or 'in memory'}, at most {max_age / 3600:g} h and {max_size / 1e9:g} GB\n"
            "Ctrl-C stops it."
        )
        sys.stdout.flush()

    try:
        serve(Settings(host, port, otlp_http_port, otlp_grpc_port, store, bounds), ready)
    except StoreError as error:
        raise click.UsageError(str(error)) from error
    except PortInUseError as error:
        raise click.ClickException(str(error)) from error
