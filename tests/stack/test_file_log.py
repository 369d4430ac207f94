"""What an agent reads from log files, and that neither a kill nor a rotation loses or doubles a line."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from otelext import semconv
from tests.stack import otlp_json
from tests.stack.collectors import Collector, backends
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

CONTAINERS: Final = ("plain", "ours", "docker", "many", "equal", "equal-docker")


@dataclass(frozen=True)
class Reading:
    """An agent, and the folders that it reads."""

    agent: Collector
    folder: Path

    @property
    def json_file(self) -> Path:
        return self.folder / "otelext" / "service.log"

    def container_file(self, name: str) -> Path:
        return self.folder / "pods" / f"default_{name}-0_11d6ecf2-7d5b-4c0e-9f0a-2c1b5d6e7f80" / name / "0.log"

    @property
    def syslog_file(self) -> Path:
        return self.folder / "syslog" / "messages"


def reading(folder: Path, binary: Path, way: dict[str, str], **more: str) -> Reading:
    """An agent that reads below `folder`, not yet started."""
    files = {
        "LOG_FILES": f"[{folder}/otelext/*.log, {folder}/otelext/*.log.*]",
        "CONTAINER_LOG_FILES": f"[{folder}/pods/*/*/*.log, {folder}/pods/*/*/*.log.*]",
        "SYSLOG_FILES": f"[{folder}/syslog/*]",
    }
    found = Reading(Collector("agent", binary, ["agent.yaml"], folder, {**way, **files, **more}), folder)
    for file in (found.json_file, found.syslog_file, *map(found.container_file, CONTAINERS)):
        file.parent.mkdir(parents=True)
    return found


@pytest.fixture(scope="module")
def files(tiers: TwoTiers, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    found = reading(tmp_path_factory.mktemp("files"), programs["otelcol"], tiers.way_to_gateways())
    with found.agent:
        yield found


def now() -> str:
    """Of this moment, as RFC 3339 has it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def json_line(service: str, body: str, **more: Any) -> str:
    """A line as `otelext/semconv.py` lays it down."""
    line = {
        semconv.LOG_TIMESTAMP: now(),
        semconv.LOG_SEVERITY: "WARN",
        semconv.LOG_LOGGER: "reader",
        semconv.LOG_BODY: body,
        semconv.SERVICE_NAME: service,
        semconv.SERVICE_INSTANCE_ID: "one",
        **more,
    }
    return json.dumps(line) + "\n"


def append(file: Path, text: str) -> None:
    with file.open("a") as end:
        end.write(text)


def the_line(stack: Stack, selector: str) -> tuple[dict[str, str], str]:
    lines = until(lambda: stack.loki.lines(selector), selector, 60)
    assert len(lines) == 1, lines
    return lines[0]


def test_json_lines_keep_their_trace_time_severity_and_attributes(stack: Stack, files: Reading) -> None:
    trace_id, span_id = otlp_json.trace_id(), "5" * 16
    context = {semconv.LOG_TRACE_ID: trace_id, semconv.LOG_SPAN_ID: span_id, semconv.LOG_TRACE_FLAGS: "01"}
    more = {
        semconv.LOG_EVENT: "vlm.inference",
        semconv.OUTCOME: "timeout",
        "vlm.input.images": 3,
        "patient.name": "Ann",
    }
    append(files.json_file, json_line("json-lines", "page 3 took too long", **context, **more))
    labels, line = the_line(stack, f'{{service_name="json-lines"}} | trace_id="{trace_id}"')
    assert line == "page 3 took too long"
    assert labels["span_id"] == span_id
    assert labels["severity_text"] == "WARN"
    assert labels["severity_number"] == "13"
    assert labels["service_instance_id"] == "one"
    assert labels["scope_name"] == "reader"
    assert labels["vlm_outcome"] == "timeout"
    assert labels["vlm_input_images"] == "3"
    assert labels["log_file_name"] == "service.log"
    assert "Ann" not in str(labels)


def test_what_containers_write_arrives_whole_with_its_pod(stack: Stack, files: Reading) -> None:
    trace_id = otlp_json.trace_id()
    ours = json_line("ours-in-a-container", "from inside", trace_id=trace_id, span_id="6" * 16).rstrip()
    append(files.container_file("ours"), f"{now()} stdout F {ours}\n")
    append(files.container_file("plain"), f"{now()} stderr P a long \n{now()} stderr F line\n")
    docker = {"log": "by Docker\n", "stream": "stdout", "time": now()}
    append(files.container_file("docker"), json.dumps(docker) + "\n")

    labels, line = the_line(stack, f'{{service_name="ours-in-a-container"}} | trace_id="{trace_id}"')
    assert line == "from inside"
    assert (labels["severity_text"], labels["k8s_pod_name"]) == ("WARN", "ours-0")
    labels, line = the_line(stack, '{service_name="plain"}')
    assert line == "a long line"
    assert (labels["log_iostream"], labels["k8s_namespace_name"], labels["k8s_container_name"]) == (
        "stderr",
        "default",
        "plain",
    )
    labels, line = the_line(stack, '{service_name="docker"}')
    assert line.rstrip("\n") == "by Docker"


def test_syslog_lines_keep_their_program_and_severity(stack: Stack, files: Reading) -> None:
    append(files.syslog_file, f"<11>1 {now()} host-5424 prog-5424 77 ID47 - out of paper\n")
    bsd = datetime.now(timezone.utc).strftime("%b %e %H:%M:%S")
    append(files.syslog_file, f"<12>{bsd} host-3164 prog-3164[78]: low on toner\n")
    append(files.syslog_file, f"{now()} host-rsyslog prog-rsyslog[79]: door open\n")
    for program, text, pid, severity in (
        ("prog-5424", "out of paper", "77", "17"),
        ("prog-3164", "low on toner", "78", "13"),
        ("prog-rsyslog", "door open", "79", None),
    ):
        labels, line = the_line(stack, f'{{service_name="{program}"}}')
        assert line == text
        assert labels["process_pid"] == pid
        assert labels["host_name"] == program.replace("prog", "host")
        assert labels.get("severity_number") == severity


def test_equal_lines_of_one_moment_are_as_many_as_were_written(stack: Stack, files: Reading) -> None:
    """Loki keeps one of two records that are equal in everything."""
    append(files.json_file, json_line("equal-json", "once more") * 3)
    append(files.container_file("equal"), f"{now()} stdout F once more\n" * 3)
    docker = {"log": "once more\n", "stream": "stdout", "time": now()}
    append(files.container_file("equal-docker"), (json.dumps(docker) + "\n") * 3)
    append(files.syslog_file, f"{now()} host equal-syslog: once more\n" * 3)
    for service in ("equal-json", "equal", "equal-docker", "equal-syslog"):
        lines = f'{{service_name="{service}"}} |= "once more"'
        until(partial(three, stack, lines), f"three of {lines}")


def three(stack: Stack, selector: str) -> bool:
    return stack.loki.count(selector) == 3


class Log:
    """A log file that somebody writes numbered lines to, renaming it every so often."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.written = 0
        self._rotations = 0

    def write(self, lines: int) -> None:
        """As a service does, flushing after each line."""
        with self.file.open("a") as end:
            for _ in range(lines):
                self.written += 1
                end.write(self.formatted(f"line {self.written}"))
                end.flush()

    def formatted(self, body: str) -> str:
        return f"{now()} stdout F {body}\n"

    def lines(self) -> set[str]:
        return {f"line {number + 1}" for number in range(self.written)}

    def rotate(self) -> None:
        self._rotations += 1
        self.file.rename(self.file.with_name(f"{self.file.name}.{self._rotations}"))


class JsonLog(Log):
    def formatted(self, body: str) -> str:
        return json_line("numbered-json", body)


class Syslog(Log):
    def formatted(self, body: str) -> str:
        return f"{now()} host numbered-syslog: {body}\n"


def test_kills_and_rotations_lose_no_line_and_double_none(
    stack: Stack, tiers: TwoTiers, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = reading(tmp_path_factory.mktemp("killed"), programs["otelcol"], tiers.way_to_gateways())
    logs = {
        "numbered-json": JsonLog(files.json_file),
        "many": Log(files.container_file("many")),
        "numbered-syslog": Syslog(files.syslog_file),
    }

    def write(seconds: float) -> None:
        """By and by, with a rotation in the middle of it."""
        rounds = 20
        for turn in range(rounds):
            for log in logs.values():
                log.write(10)
                if turn == rounds // 2:
                    log.rotate()
            time.sleep(seconds / rounds)

    with files.agent as agent:
        for _ in range(3):
            write(1.0)
            agent.kill()  # while it reads: nobody waited for it
            write(0.1)  # and a rotation while it is gone
            agent.start(wait=False)
        write(1.0)
        agent.wait_until_ready()

        def lost() -> dict[str, set[str]]:
            return {
                service: missing
                for service, log in logs.items()
                if (missing := log.lines() - {line for _, line in stack.loki.lines(f'{{service_name="{service}"}}')})
            }

        until(lambda: not lost(), lambda: str(lost()), 60)
        for service, log in logs.items():
            assert stack.loki.count(f'{{service_name="{service}"}}') == log.written, service


@pytest.mark.parametrize(
    ("where", "value"), [("agent", "true"), ("agent", "yes"), ("gateway", "TRUE"), ("gateway", "1")]
)
def test_bodies_of_files_stay_behind_where_they_have_to(
    stack: Stack, tiers: TwoTiers, programs: dict[str, Path], tmp_path: Path, where: str, value: str
) -> None:
    way = tiers.way_to_gateways()
    redacting = {"REDACT_BODIES": value}
    with ExitStack() as running:
        if where == "gateway":
            gateway = Collector(
                "gateway", programs["otelcol"], ["gateway.yaml"], tmp_path / "g", {**backends(stack), **redacting}
            )
            way["GATEWAY"] = running.enter_context(gateway).otlp_grpc
        files = reading(tmp_path, programs["otelcol"], way, **(redacting if where == "agent" else {}))
        running.enter_context(files.agent)
        trace_id = otlp_json.trace_id()
        append(
            files.json_file, json_line(f"redacting-{where}-{value}", "Ann has it", trace_id=trace_id, span_id="7" * 16)
        )
        _, line = the_line(stack, f'{{service_name="redacting-{where}-{value}"}} | trace_id="{trace_id}"')
        assert line == "[redacted]"
