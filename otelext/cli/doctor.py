"""`otelext doctor`: which hop of the telemetry is broken, why, and what to type next."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from otelext.cli._extras import extra
from otelext.cli._quantities import Seconds
from otelext.cli._signals import interrupt

if TYPE_CHECKING:
    from otelext.doctor.examination import Report

# Those of otelext.doctor.settings, which --help must not load.
_SKIPPABLE = (
    "environment", "clock", "traces", "metrics", "logs", "exemplars", "jaeger", "tempo", "prometheus", "mimir", "loki",
)  # fmt: skip
_EPILOG = """\b
Variables, all optional, for the backends; none of their values is printed:
  OTELEXT_DOCTOR_JAEGER              address, where no option gives one; likewise _TEMPO, _PROMETHEUS, _MIMIR, _LOKI
  OTELEXT_DOCTOR_HEADERS             headers for all of them, as OTEL_EXPORTER_OTLP_HEADERS has them
  OTELEXT_DOCTOR_JAEGER_HEADERS      for one of them alone; likewise _TEMPO_, _PROMETHEUS_, _MIMIR_, _LOKI_
  OTELEXT_DOCTOR_CERTIFICATE         file of the authorities that their certificates are checked against
  OTELEXT_DOCTOR_CLIENT_CERTIFICATE  file of the certificate that is shown to them
  OTELEXT_DOCTOR_CLIENT_KEY          file of its key

\b
Exit status: 0 nothing is broken (warnings may be there), 1 something is, 2 used wrongly.
"""


@click.command("doctor", short_help="Tell which hop of the telemetry is broken.", epilog=_EPILOG)
@click.option("--endpoint", metavar="URL", help="Base address of the receiver.  [default: the environment's]")
@click.option(
    "--protocol",
    type=click.Choice(["http/protobuf", "grpc"]),
    help="Protocol of OTLP.  [default: the environment's, else http/protobuf]",
)
@click.option("--jaeger", metavar="URL", help="Jaeger's API.  [default: http://localhost:16686]")
@click.option("--tempo", metavar="URL", help="Tempo's, instead.")
@click.option("--prometheus", metavar="URL", help="Prometheus' API.  [default: http://localhost:9090]")
@click.option("--mimir", metavar="URL", help="Mimir's, instead, with its prefix: http://mimir:8080/prometheus.")
@click.option("--loki", metavar="URL", help="Loki's API.  [default: http://localhost:3100]")
@click.option(
    "--skip",
    metavar="NAME",
    multiple=True,
    type=click.Choice(_SKIPPABLE),
    help=f"Leave out; may be given several times: {', '.join(_SKIPPABLE)}. A signal is then not sent, a backend not asked.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(min=0.1, max=600),
    default=15.0,
    show_default=True,
    help="How long a canary may take until it is visible; more behind tail sampling that decides late.",
)
@click.option(
    "--watch",
    metavar="[SECONDS]",
    is_flag=False,
    flag_value=60.0,
    type=Seconds(min=1),
    help="Examine again and again, every so many seconds, until Ctrl-C.  [60 where none are given]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON; with --watch one line each time.")
def command(skip: tuple[str, ...], watch: float | None, as_json: bool, **given: Any) -> None:
    """Examine the environment, send a canary of each signal, and look for it in every backend.

    It is sent as a service would, by the OTEL_EXPORTER_OTLP_ variables, is marked by otelext.canary=true and
    service.name=otelext-doctor, and carries nothing of yours. For what fails the most likely cause and the next command
    are printed.
    """
    # The library writes of its own into the terminal otherwise.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with extra("doctor", "otelext doctor"):
        for package in ("httpx", "grpc", "requests"):
            importlib.import_module(package)
        from rich.console import Console  # noqa: PLC0415 (an extra)

        from otelext.doctor.endpoint import AddressError  # noqa: PLC0415
        from otelext.doctor.examination import examine  # noqa: PLC0415
        from otelext.doctor.formats import as_json as formatted  # noqa: PLC0415
        from otelext.doctor.settings import PRODUCTS, Settings, accesses, known_ports  # noqa: PLC0415
        from otelext.doctor.terminal import print_findings, verdict  # noqa: PLC0415
    try:
        settings = Settings(
            environ=dict(os.environ),
            backends=accesses(os.environ, {product: given[product] for product in PRODUCTS}, frozenset(skip)),
            endpoint=given["endpoint"],
            protocol=given["protocol"],
            skip=frozenset(skip),
            timeout=given["timeout"],
            known_ports=known_ports(os.environ),
        )
    except AddressError as error:
        raise click.UsageError(str(error)) from error
    errors, console = Console(stderr=True), Console(soft_wrap=False)

    def once() -> Report:
        with errors.status("") as status:
            try:
                return examine(settings, status.update)
            except AddressError as error:
                raise click.UsageError(str(error)) from error

    if watch is None:
        report = once()
        if as_json:
            click.echo(json.dumps(formatted(report), indent=2, ensure_ascii=False))
        else:
            print_findings(report.findings, console)
            console.print(f"\n{verdict(report.findings)} ({report.seconds:.1f} s)")
        sys.exit(0 if report.healthy else 1)

    before: tuple[object, ...] | None = None
    healthy = False
    signal.signal(signal.SIGTERM, interrupt)
    try:
        while True:
            begun = time.monotonic()
            report = once()
            healthy = report.healthy
            if as_json:
                click.echo(json.dumps(formatted(report), ensure_ascii=False))
            else:
                state = tuple((one.check, one.level, one.cause) for one in report.findings)
                if state != before:
                    print_findings(report.findings, console)
                before = state
                at = time.strftime("%H:%M:%S", time.localtime(report.began))
                console.print(f"{at} {verdict(report.findings)} ({report.seconds:.1f} s)")
            sys.stdout.flush()
            time.sleep(max(0.0, begun + watch - time.monotonic()))
    except KeyboardInterrupt:
        sys.exit(0 if healthy else 1)
