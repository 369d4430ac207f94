from __future__ import annotations

import json
import os
import re
import socket
import time
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from otelext import semconv
from otelext.viewer.store import Store
from tests.viewer.running import run_cli, start_viewer
from tests.viewer.service import MODEL, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.viewer.running import RunningViewer


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningViewer, Path]]:
    """A viewer, and its store, that has seen a service."""
    folder = tmp_path_factory.mktemp("used")
    store = folder / "store.duckdb"
    viewer = start_viewer(folder, "--store", str(store))
    service = Service(viewer)
    for i in range(20):
        service.infer(
            stages={"vision_encode": 0.2, "prefill": 0.3},
            unattributed=0.01,
            consumer_wait_s=1.5 if i == 7 else 0.0,
            output_tokens=21,
        )
    service.infer(outcome=semconv.Outcome.CLIENT_DISCONNECTED, output_tokens=9)
    service.infer(model="evil \x1b[31mred\x07 [bold]name", sampled=True)
    service.add(semconv.CRITICAL_FIELD_CHECKS, 20, **{semconv.FIELD: "kcd_code"})
    service.add(semconv.CRITICAL_FIELD_ERRORS, 3, **{semconv.FIELD: "kcd_code"})
    service.stop()
    yield viewer, store
    viewer.stop()


def test_the_report_names_every_figure_and_fits_80_columns(used: tuple[RunningViewer, Path]) -> None:
    found = run_cli("report", "--url", used[0].url)
    assert (found.returncode, found.stderr) == (0, "")
    text = found.stdout
    for expected in (
        "Requests: 22",
        "client_disconnected",
        f"Latency: {MODEL}",
        "first token",
        "20 traces",
        "Percentiles are exact, from sampled traces.",
        "Throughput",
        "tokens/s",
        "pages/min",
        f"Time to first token: {MODEL}",
        "vision_encode",
        "Adds up: the parts are 10.200 s, the histogram's sum is 10.200 s.",
        "Wasted tokens: 109",
        "Critical-field errors: 3",
        "kcd_code",
        "15.0 %",
        "Slowest requests",
        "consumer wait 1.50 s",
        "prefill",
    ):
        assert expected in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_report_that_is_piped_has_no_colour_and_cuts_no_figure(used: tuple[RunningViewer, Path]) -> None:
    text = run_cli("report", "--url", used[0].url).stdout
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]name" in text
    trace_ids = re.findall(r"trace ([0-9a-f]{32})\b", text)
    assert len(trace_ids) == 5


def test_the_waterfall_marks_the_first_token_where_it_came(used: tuple[RunningViewer, Path]) -> None:
    lines = run_cli("report", "--url", used[0].url, "--slowest", "1").stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"chat {MODEL}  "))
    # The slowest took 2.51 s, its first token 0.51 s: a fifth of the axis.
    drawn = lines[start][27:71].rstrip()
    assert drawn.index("*") / len(drawn) == pytest.approx(0.51 / 2.51, abs=0.04)
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["vision_encode", "prefill", "decode"]


def test_the_report_can_be_saved_as_a_picture_that_loads_nothing(
    used: tuple[RunningViewer, Path], tmp_path: Path
) -> None:
    picture = tmp_path / "report.svg"
    found = run_cli("report", "--url", used[0].url, "--svg", str(picture))
    assert (found.returncode, found.stderr) == (0, "")
    drawn = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    text = "".join(drawn.itertext()).replace("\xa0", " ")
    assert "Requests: 22" in text
    assert "http" not in re.sub(r"<!--.*?-->|xmlns\S*", "", picture.read_text(encoding="utf-8"))


def test_a_picture_is_saved_beside_json_too(used: tuple[RunningViewer, Path], tmp_path: Path) -> None:
    picture = tmp_path / "report.svg"
    found = run_cli("report", "--url", used[0].url, "--json", "--svg", str(picture))
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["requests"]["total"] == 22
    assert "Requests:" in picture.read_text(encoding="utf-8").replace("&#160;", " ")


def test_a_picture_that_cannot_be_saved_is_one_line(used: tuple[RunningViewer, Path], tmp_path: Path) -> None:
    picture = tmp_path / "missing" / "report.svg"
    found = run_cli("report", "--url", used[0].url, "--svg", str(picture))
    assert found.returncode == 1
    assert found.stderr == f"Error: the picture {picture} cannot be written: No such file or directory\n"


def test_an_address_without_scheme_is_one_of_http(used: tuple[RunningViewer, Path]) -> None:
    found = run_cli("report", "--url", used[0].url.removeprefix("http://"))
    assert (found.returncode, found.stderr) == (0, "")
    assert "Requests: 22" in found.stdout


def test_an_ascii_terminal_gets_ascii(used: tuple[RunningViewer, Path]) -> None:
    found = run_cli("report", "--url", used[0].url, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.isascii()
    assert "###" in found.stdout


def test_json_is_the_report_of_the_api(used: tuple[RunningViewer, Path]) -> None:
    found = run_cli("report", "--url", used[0].url, "--json", "--since", "all")
    assert found.returncode == 0
    report = json.loads(found.stdout)
    assert report["requests"]["total"] == 22
    assert report["since_ns"] is None


def test_a_store_that_a_viewer_holds_says_which_option_to_use(used: tuple[RunningViewer, Path]) -> None:
    found = run_cli("report", "--store", str(used[1]))
    assert found.returncode == 2
    assert "is held by another process" in found.stderr
    assert "otelext report --url" in found.stderr


def test_a_store_that_nobody_holds_is_read_from_its_file(view: Callable[..., RunningViewer], tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    viewer = view("--store", str(path))
    service = Service(viewer)
    service.infer()
    service.stop()
    viewer.stop()
    found = run_cli("report", "--store", str(path))
    assert (found.returncode, found.stderr) == (0, "")
    assert "Requests: 1" in found.stdout


def test_nothing_received_says_what_to_run_next(view: Callable[..., RunningViewer], tmp_path: Path) -> None:
    viewer = view()
    found = run_cli("report", "--url", viewer.url)
    viewer.stop()
    assert found.returncode == 1
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={viewer.otlp_http} opentelemetry-instrument" in found.stdout

    path = tmp_path / "empty.duckdb"
    Store(path).close()
    found = run_cli("report", "--store", str(path))
    assert found.returncode == 1
    assert "otelext view --store FILE" in found.stdout


def test_no_viewer_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = run_cli("report", "--url", f"http://127.0.0.1:{port}")
    assert (found.returncode, found.stdout) == (1, "")
    (line,) = found.stderr.strip().splitlines()
    assert f"no viewer answers at http://127.0.0.1:{port}" in line
    assert "otelext view" in line


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--url", "http://127.0.0.1:1", "--store", "x"], 2, "--url and --store exclude each other"),
        (["--since", "ever"], 2, "'ever' is no duration"),
        (["--slowest", "0"], 2, "0 is not in the range"),
        (["--store", "missing.duckdb"], 2, "there is no store missing.duckdb"),
        (["--url", "not a url"], 1, "no viewer answers at http://not a url"),
    ],
)
def test_wrong_use_is_named(arguments: list[str], code: int, text: str) -> None:
    found = run_cli("report", *arguments)
    assert found.returncode == code
    assert text in found.stderr


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningViewer]:
    """A viewer that two services have sent to, one of them long ago, and without metrics."""
    viewer = start_viewer(tmp_path_factory.mktemp("shared"))
    for name, count in (("invoices", 1), ("letters", 2)):
        service = Service(viewer, name=name)
        for _ in range(count):
            service.infer()
        service.stop()
    old = Service(viewer, name="forgotten")
    old.infer(sampled=True, start_ns=time.time_ns() - 3 * 3600 * 10**9)
    assert old.tracers.force_flush()
    yield viewer
    old.stop()
    viewer.stop()


def test_a_report_is_of_the_services_that_are_asked_for(shared: RunningViewer) -> None:
    one = run_cli("report", "--url", shared.url, "--service", "letters").stdout
    assert "Requests: 2  letters; from metrics, 2 with a trace" in one
    both = run_cli("report", "--url", shared.url, "--service", "letters", "--service", "invoices").stdout
    assert "Requests: 3  invoices, letters; from metrics" in both


def test_a_report_names_no_service_that_has_no_part_in_it(shared: RunningViewer) -> None:
    assert "Requests: 3  invoices, letters; from metrics" in run_cli("report", "--url", shared.url).stdout


def test_a_service_without_requests_in_the_time_is_told_alone(shared: RunningViewer) -> None:
    found = run_cli("report", "--url", shared.url, "--service", "forgotten")
    assert found.returncode == 0
    assert "Requests: 0  forgotten; " in found.stdout


def test_an_unknown_service_is_told_those_that_are_known(shared: RunningViewer) -> None:
    found = run_cli("report", "--url", shared.url, "--service", "letter")
    assert (found.returncode, found.stdout) == (2, "")
    assert "no service 'letter' has sent anything; known: 'forgotten', 'invoices', 'letters'\n" in found.stderr


def test_one_of_a_thing_is_not_many(shared: RunningViewer) -> None:
    text = run_cli("report", "--url", shared.url, "--service", "invoices").stdout
    assert "1 trace\n" in text
    assert "where it went, 1 completed request\n" in text
    assert not re.search(r"(?<![0-9.,])1 (?:traces|tokens|checks|spans|requests|completed requests)\b", text)


def test_the_port_of_otlp_http_names_that_of_the_report(shared: RunningViewer) -> None:
    found = run_cli("report", "--url", shared.otlp_http)
    assert (found.returncode, found.stdout) == (1, "")
    (line,) = found.stderr.splitlines()
    assert f"{shared.otlp_http} is where a viewer receives OTLP; its report is at --url {shared.url}" in line


def test_the_port_of_otlp_grpc_says_where_the_right_one_is_told(shared: RunningViewer) -> None:
    found = run_cli("report", "--url", shared.otlp_grpc)
    assert (found.returncode, found.stdout) == (1, "")
    (line,) = found.stderr.splitlines()
    assert f"what answers at {shared.otlp_grpc} has no report" in line
    assert "the address that `otelext view` printed as `report and API`, with port 8321 unless" in line
