"""`otelext doctor` as it is typed; what it finds is tested in tests/doctor, and in tests/stack on real servers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from otelext.doctor.settings import SKIPPABLE, VARIABLES
from tests.doctor.sockets import closed_port
from tests.otlp_receiver import OtlpReceiver
from tests.viewer.running import run_cli

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_BACKENDS = ("--skip", "jaeger", "--skip", "prometheus", "--skip", "loki", "--skip", "environment")


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "COLUMNS": "100", **more}


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run_cli("doctor", *arguments, env=environment(**more))


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


def test_where_nothing_is_broken_the_status_is_0_and_a_canary_was_sent(receiver: OtlpReceiver) -> None:
    found = run(*NO_BACKENDS, "--endpoint", receiver.endpoint)
    assert (found.returncode, found.stderr) == (0, "")
    assert f"traces accepted by {receiver.endpoint}/v1/traces" in " ".join(found.stdout.split())
    assert "nothing is broken" in found.stdout
    assert {span.resource["service.name"] for span in receiver.spans} == {"otelext-doctor"}
    assert len(receiver.spans) == 1


def test_where_something_is_broken_the_status_is_1_and_the_next_command_is_there() -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    found = run(*NO_BACKENDS, "--endpoint", endpoint)
    assert (found.returncode, found.stderr) == (1, "")
    words = " ".join(found.stdout.split())
    assert "FAIL send.traces, send.metrics, send.logs" in words, "one cause is said once"
    assert "cause nothing listens at" in words
    assert " next " in words
    assert "3 of" in found.stdout.splitlines()[-1]


def test_json_has_every_finding(receiver: OtlpReceiver) -> None:
    found = run(*NO_BACKENDS, "--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    report = json.loads(found.stdout)
    assert report["healthy"] is True
    (span,) = receiver.spans
    assert report["trace_id"] == span.message.trace_id.hex()
    fields = {"check", "level", "summary", "cause", "next_step", "command", "evidence", "seconds"}
    assert all(set(finding) == fields for finding in report["findings"])
    assert len({finding["check"] for finding in report["findings"]}) == len(report["findings"])
    levels = {finding["check"]: finding["level"] for finding in report["findings"]}
    assert levels == {
        "environment": "skipped",
        "clock": "ok",
        "send.traces": "ok",
        "send.metrics": "ok",
        "send.logs": "ok",
        "metric": "skipped",
        "exemplar": "skipped",
        "trace": "skipped",
        "exemplar_to_trace": "skipped",
        "log": "skipped",
        "trace_to_log": "skipped",
    }


def test_a_signal_that_is_left_out_is_not_sent(receiver: OtlpReceiver) -> None:
    found = run(*NO_BACKENDS, "--skip", "traces", "--skip", "metrics", "--json", "--endpoint", receiver.endpoint)
    assert found.returncode == 0
    assert (receiver.spans, receiver.points) == ([], [])
    assert len(receiver.logs) == 1


def test_what_a_service_does_not_send_by_otlp_is_skipped_and_says_so(receiver: OtlpReceiver) -> None:
    exporters = {
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_TRACES_EXPORTER": "console,otlp",
    }
    found = run(*NO_BACKENDS, "--json", "--endpoint", receiver.endpoint, **exporters)
    summaries = {
        finding["check"]: (finding["level"], finding["summary"]) for finding in json.loads(found.stdout)["findings"]
    }
    assert summaries["send.metrics"] == ("skipped", "metrics do not leave by OTLP: OTEL_METRICS_EXPORTER=prometheus")
    assert summaries["send.logs"][0] == "skipped"
    assert summaries["send.traces"][0] == "ok"
    assert (receiver.points, receiver.logs) == ([], [])


def test_the_environment_is_looked_at_unless_it_is_left_out(receiver: OtlpReceiver) -> None:
    options = [option for option in NO_BACKENDS if option != "environment"][:-1]
    found = run(*options, "--json", "--endpoint", receiver.endpoint, OTEL_EXPORTER_OLTP_HEADERS="x")
    checks = {finding["check"]: finding for finding in json.loads(found.stdout)["findings"]}
    assert "OTEL_EXPORTER_OTLP_HEADERS" in checks["environment.typo"]["summary"]
    assert checks["environment.distro"]["level"] == "ok"


def test_no_credential_is_printed() -> None:
    secrets = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:s3cret@127.0.0.1:{closed_port()}",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret",
        "OTELEXT_DOCTOR_JAEGER": f"http://user:s3cret@127.0.0.1:{closed_port()}/?key=s3cret",
        "OTELEXT_DOCTOR_PROMETHEUS": f"http://127.0.0.1:{closed_port()}",
        "OTELEXT_DOCTOR_LOKI": f"http://127.0.0.1:{closed_port()}",
        "OTELEXT_DOCTOR_HEADERS": "authorization=Bearer%20s3cret",
    }
    for options in ((), ("--json",), ("--protocol", "grpc")):
        found = run(*options, **secrets)
        assert found.returncode == 1
        assert "s3cret" not in found.stdout + found.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--endpoint", "nonsense"], "neither http:// nor https://"),
        (["--loki", "nonsense"], "--loki or OTELEXT_DOCTOR_LOKI"),
        (["--tempo", "http://x", "--jaeger", "http://x"], "exclude each other"),
        (["--skip", "everything"], "everything"),
        (["--timeout", "0"], "--timeout"),
        (["--timeout", "nan"], "nan is no number"),
        (["--watch", "nan"], "nan is no number"),
        (["--watch", "0"], "--watch"),
        (["--protocol", "http/json"], "http/json"),
        (["surplus"], "surplus"),
    ],
)
def test_wrong_use_is_status_2(arguments: list[str], words: str) -> None:
    found = run(*arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert words in found.stderr


def test_help_names_what_can_be_left_out_and_every_variable() -> None:
    found = " ".join(run("--help").stdout.split())
    for name in SKIPPABLE:
        assert name in found
    for name in VARIABLES:
        product = name.removeprefix("OTELEXT_DOCTOR_").removesuffix("_HEADERS")
        assert name in found or f"_{product}" in found
    assert "Exit status: 0" in found


@pytest.mark.parametrize("colour", [{}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_pipe_and_no_color_get_no_escape(receiver: OtlpReceiver, colour: dict[str, str]) -> None:
    found = run(*NO_BACKENDS, "--endpoint", receiver.endpoint, **colour)
    assert not re.search(r"\x1b\[[\d;]*(?:[34]\d|9[0-7]|10[0-7])m", found.stdout)


@pytest.mark.parametrize("columns", ["80", "60"])
def test_an_address_is_never_cut_however_narrow_the_terminal(columns: str) -> None:
    url = f"http://127.0.0.1:{closed_port()}/an/address/that/is/longer/than/the/column"
    table = run(*NO_BACKENDS, "--endpoint", url, COLUMNS=columns).stdout.partition("\n\n")[0]
    assert "\N{HORIZONTAL ELLIPSIS}" not in table
    assert f"{url}/v1/traces" in "".join(table.split())


def test_the_next_command_stands_alone_on_its_line() -> None:
    printed = run(*NO_BACKENDS, "--endpoint", f"http://127.0.0.1:{closed_port()}").stdout
    lines = [line.strip() for line in printed.splitlines()]
    at = lines.index("next   docker compose -f docker-compose.otel.yml up --detach")
    assert lines[at + 1] == "(or, without containers: sh collector/processes.sh)"


class Watching:
    """A doctor that watches, line by line."""

    def __init__(self, endpoint: str, *options: str) -> None:
        command = [sys.executable, "-m", "otelext.cli", "doctor", *NO_BACKENDS, "--endpoint", endpoint, *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        assert self.process.stdout is not None
        self.lines = self.process.stdout

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines.readline())
        return found

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        assert not errors
        return self.process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_goes_on_until_it_is_told_to_end(number: int) -> None:
    with OtlpReceiver() as receiver:
        watching = Watching(receiver.endpoint, "--json", "--watch", "1")
        first, second = watching.report(), watching.report()
        assert first["healthy"]
        assert second["healthy"]
        assert first["trace_id"] != second["trace_id"]
        assert watching.end(number) == 0


def test_watching_ends_with_the_status_of_what_it_saw_last() -> None:
    with OtlpReceiver() as receiver:
        watching = Watching(receiver.endpoint, "--json", "--watch", "1")
        assert watching.report()["healthy"]
    while watching.report()["healthy"]:
        pass
    assert watching.end(signal.SIGINT) == 1


def test_watching_prints_the_table_only_when_something_changed() -> None:
    with OtlpReceiver() as receiver:
        watching = Watching(receiver.endpoint, "--watch", "1")
        read: list[str] = []
        while sum("nothing is broken" in line for line in read) < 3:
            read.append(watching.lines.readline())
        assert watching.end(signal.SIGTERM) == 0
    assert sum("send.traces" in line for line in read) == 1
