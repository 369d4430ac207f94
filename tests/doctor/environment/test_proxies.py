"""Proxies and authorities: judged by where the SDK's exporters really go."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.doctor.environment.looks import PATH, only, wrong
from tests.doctor.sockets import http_server
from tests.stack.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

# One process for all cases: both clients read the variables when a channel or a request is made.
EXPORTS = """
import json, logging, os, socket, sys
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.sdk.trace import TracerProvider
logging.disable(logging.CRITICAL)
span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s"); span.end()
for line in sys.stdin:
    case = json.loads(line)
    for name in list(os.environ):
        if "proxy" in name.lower() or name.endswith("CA_BUNDLE"):
            del os.environ[name]
    os.environ.update(case["environ"])
    exporter = (Grpc if case["grpc"] else Http)(endpoint=case["endpoint"], timeout=0.5)
    print(json.dumps(exporter.export([span]).name), flush=True)
    exporter.shutdown()
"""


class Proxy:
    """Something that listens where a proxy would, counts who comes, and answers nobody."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.seen.append(connection.recv(4096))

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


class Service:
    """A process that exports as it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def export(self, endpoint: str, environ: dict[str, str], *, grpc: bool = False) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"endpoint": endpoint, "environ": environ, "grpc": grpc}) + "\n")
        self._process.stdin.flush()
        answer: str = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", EXPORTS], env=PATH, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield Service(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def port() -> int:
    """One where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        chosen: int = listener.getsockname()[1]
        return chosen


def named(transport: str, endpoint: str, environ: dict[str, str]) -> list[str]:
    found = wrong(OTEL_EXPORTER_OTLP_PROTOCOL=transport, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **environ)
    assert {one.check for one in found} <= {"environment.proxy"}, found
    return [one.summary for one in found]


PROXY = "PROXY"
CASES = [
    *({name: PROXY} for name in ("grpc_proxy", "GRPC_PROXY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")),
    {"all_proxy": PROXY},
    {"ALL_PROXY": PROXY},
    {"http_proxy": "", "HTTP_PROXY": PROXY},
    *(
        {"http_proxy": PROXY, exceptions: value}
        for exceptions in ("no_proxy", "NO_PROXY", "no_grpc_proxy")
        for value in ("localhost", "LOCALHOST", "*", "host", ".localhost", "127.0.0.0/8", "127.0.0.1")
    ),
    {"http_proxy": PROXY, "no_proxy": "", "NO_PROXY": "localhost"},
    {"http_proxy": PROXY, "no_proxy": "other, localhost"},
]


@pytest.mark.parametrize("environ", CASES, ids=lambda environ: " ".join(f"{k}={v}" for k, v in environ.items()))
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("transport", ["grpc", "http/protobuf"])
def test_a_proxy_is_named_where_an_exporter_goes_to_it(proxy, service, port, transport, host, environ) -> None:
    environ = {name: proxy.url if value == PROXY else value for name, value in environ.items()}
    endpoint = f"http://{host}:{port}"
    proxy.seen.clear()
    url = endpoint if transport == "grpc" else f"{endpoint}/v1/traces"
    service.export(url, environ, grpc=transport == "grpc")
    summaries = named(transport, endpoint, environ)
    assert bool(summaries) == bool(proxy.seen), (summaries, proxy.seen)


def test_what_is_told_to_do_about_a_proxy_helps(proxy, service, port) -> None:
    for transport in ("grpc", "http/protobuf"):
        environ = {"http_proxy": proxy.url, "no_proxy": "other"}
        told = {"OTEL_EXPORTER_OTLP_PROTOCOL": transport, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{port}"}
        finding = only(**told, **environ)
        assert (finding.check, finding.level) == ("environment.proxy", "error")
        assert "A proxy can't reach this machine's loopback address." in (finding.cause or "")
        name, _, value = (finding.next_step or "").removeprefix("export ").partition("=")
        assert (name, value) == ("no_proxy", "other,localhost")
        proxy.seen.clear()
        service.export(f"http://localhost:{port}/v1/traces", {**environ, name: value}, grpc=transport == "grpc")
        assert not proxy.seen
        assert not wrong(**told, **{**environ, name: value})


def test_a_proxy_to_another_machine_may_be_meant() -> None:
    finding = only(
        OTEL_EXPORTER_OTLP_ENDPOINT="https://collector.example:4318",
        HTTPS_PROXY="http://user:hunter2@proxy.example:3128",
    )
    assert (finding.check, finding.level) == ("environment.proxy", "warning")
    assert "HTTPS_PROXY=http://proxy.example:3128 catches" in finding.summary
    assert "hunter2" not in str(finding)


def test_a_proxy_of_another_scheme_is_no_matter() -> None:
    assert not wrong(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.example:4318", HTTPS_PROXY="http://proxy.example:3128"
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificates")
@pytest.mark.parametrize("bundle", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_wins_over_the_authority_is_named(tmp_path, service, bundle) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    certificate = ours.issue("receiver")
    del theirs
    trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ours.crt")}
    overridden = {**trusted, bundle: str(tmp_path / "theirs.crt")}
    with http_server(lambda *_: (200, {}, b""), certificate) as port:
        url = f"https://localhost:{port}"
        assert service.export(f"{url}/v1/traces", trusted) == "SUCCESS"
        assert service.export(f"{url}/v1/traces", overridden) == "FAILURE"
    assert not wrong(OTEL_EXPORTER_OTLP_ENDPOINT=url, **trusted)
    finding = only(OTEL_EXPORTER_OTLP_ENDPOINT=url, **overridden)
    assert (finding.check, finding.level) == ("environment.authority", "warning")
    assert (finding.next_step or "").startswith(f"unset {bundle}")
    assert not wrong(
        OTEL_EXPORTER_OTLP_ENDPOINT=url.replace("localhost", "10.0.0.1"),
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        **overridden,
    )
