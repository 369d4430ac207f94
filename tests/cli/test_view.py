from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING

import duckdb
import httpx
import pytest

from otelext.viewer.store import Store
from tests.viewer.running import FREE_PORTS, run_cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.viewer.running import RunningViewer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_viewer_prints_its_addresses_and_ends_cleanly_on_a_signal(
    view: Callable[..., RunningViewer], tmp_path: Path, number: int
) -> None:
    store = tmp_path / "store.duckdb"
    viewer = view("--store", str(store))
    assert httpx.get(f"{viewer.url}/healthz", trust_env=False).status_code == 200
    code, out, err = viewer.stop(number)
    assert (code, err) == (0, "")
    for address in (viewer.url, viewer.otlp_http, viewer.otlp_grpc, str(store)):
        assert address in out
    with Store(store, read_only=True):
        pass


@pytest.mark.parametrize("option", ["--port", "--otlp-http-port", "--otlp-grpc-port"])
def test_a_port_in_use_is_one_line_naming_port_and_option(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = run_cli("view", *FREE_PORTS, option, port)
    assert (found.returncode, found.stdout) == (1, "")
    (line,) = found.stderr.strip().splitlines()
    assert f"port {port} of 127.0.0.1 cannot be used" in line
    assert f"choose another with {option}," in line


def test_a_port_that_only_one_family_has_taken_is_one_line_too() -> None:
    """gRPC, which finds out by itself, writes lines of its own."""
    with contextlib.suppress(OSError), socket.create_server(("::", 0), family=socket.AF_INET6):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            found = run_cli("view", *FREE_PORTS, "--host", "::", "--otlp-grpc-port", port)
        assert (found.returncode, found.stdout) == (1, "")
        (_, line) = found.stderr.strip().splitlines()  # the first one warns of the host
        assert f"port {port} of :: cannot be used" in line
        return
    pytest.skip("this machine has no IPv6")


def test_a_host_of_another_machine_is_named() -> None:
    found = run_cli("view", *FREE_PORTS, "--host", "192.0.2.1")
    assert found.returncode == 1
    assert "the host 192.0.2.1 given by --host is no address of this machine" in found.stderr


def test_a_store_of_a_newer_version_ends_with_2(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    Store(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE otelext_store SET schema_version = 99")
    found = run_cli("view", *FREE_PORTS, "--store", str(path))
    assert found.returncode == 2
    assert "has schema version 99, and this otelext reads version" in found.stderr


def test_a_store_that_another_viewer_holds_ends_with_2(view: Callable[..., RunningViewer], tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    view("--store", str(path))
    found = run_cli("view", *FREE_PORTS, "--store", str(path))
    assert found.returncode == 2
    assert "is held by another process" in found.stderr


def test_a_host_beyond_loopback_is_warned_about(view: Callable[..., RunningViewer]) -> None:
    viewer = view("--host", "0.0.0.0")
    code, _, err = viewer.stop()
    assert code == 0
    assert "Warning: 0.0.0.0 can be reached from other machines, and there is no authentication" in err
    assert viewer.url.startswith("http://127.0.0.1:")


def test_a_ports_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    ports = tmp_path / "missing" / "ports.json"
    found = run_cli("view", *FREE_PORTS, "--ports-file", str(ports))
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == f"Error: the file {ports} cannot be written: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--max-age", "long"], "'long' is no duration"),
        (["--max-size", "5"], "greatest size is 5 bytes"),
        (["--max-size", "many"], "'many' is no size"),
        (["--port", "70000"], "70000 is not in the range"),
    ],
)
def test_bad_options_are_named(arguments: list[str], text: str) -> None:
    found = run_cli("view", *FREE_PORTS, *arguments)
    assert found.returncode == 2
    assert text in found.stderr
