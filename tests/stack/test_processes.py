"""`collector/processes.sh`: the pipeline without containers, and the commands that look whether it works."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.compose.composition import ROOT
from tests.stack.backends import tags
from tests.stack.composition import free_port
from tests.stack.documentation import documented
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)

SCRIPT: Final = ROOT / "collector/processes.sh"
PORT: Final = re.compile(r"\b([A-Z_]+_PORT)=(\d+)")
SERVERS: Final = ("otelcol", "jaeger", "prometheus", "loki", "alertmanager")
SERVICE: Final = """
import logging, otelext

@otelext.inference("chat", model="m")
def answer():
    logging.getLogger("service").warning("answering")
    yield "42"

list(answer())
"""


class Pipeline:
    """What the script runs, on ports of its own below `folder`."""

    def __init__(self, programs: dict[str, Path], folder: Path, defaults: dict[str, str]) -> None:
        self.folder = folder
        self.ports = {name: str(free_port()) for name in defaults}
        self._moved = {f":{default}": f":{self.ports[name]}" for name, default in defaults.items()}
        places = {str(programs[name].parent) for name in SERVERS}
        path = os.pathsep.join([*places, str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {"PATH": path, "NO_PROXY": "127.0.0.1"}

    def start(self, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", str(SCRIPT), str(self.folder)],
            env={**self.environment, **self.ports, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a group of its own: nothing of it may be left
        )

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        process = self.start()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("Everything is ready"):
                    break
            else:
                raise AssertionError(process.communicate()[1])
            yield process
        finally:
            if is_there(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def shell(self, command: str, **variables: str) -> str:
        """What a command of the docs prints, at the ports of this run."""
        for default, moved in self._moved.items():
            command = re.sub(rf"{default}\b", moved, command)
        done = subprocess.run(
            ["sh", "-eu", "-c", command],
            env={**self.environment, **variables},
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self, name: str) -> None:
        """A service that answers once and ends."""
        program = ["opentelemetry-instrument", "python", "-c", SERVICE]
        endpoint = f"http://127.0.0.1:{self.ports['OTLP_HTTP_PORT']}"
        disabled = "openai,threading,fastapi,sqlalchemy"  # quicker
        subprocess.run(
            program,
            env={
                **self.environment,
                "OTEL_SERVICE_NAME": name,
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled,
            },
            check=True,
            timeout=60,
        )


def is_there(group: int) -> bool:
    """Whether any process of a group runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def pipeline(programs: dict[str, Path], tmp_path: Path) -> Pipeline:
    said = subprocess.run(["sh", str(SCRIPT), "--help"], check=True, capture_output=True, text=True).stdout
    defaults = dict(PORT.findall(said))
    assert len(defaults) == 13
    return Pipeline(programs, tmp_path / "with a space" / "data", defaults)


def test_what_is_sent_is_found_by_the_documented_commands_also_after_a_restore(pipeline: Pipeline) -> None:
    traces, quantile, exemplars, lines = documented("Look whether it works", "docs/pipeline.md")[0].split("\n\n")

    def asked(command: str, trace_id: str = "TRACE_ID") -> Any:
        answer = json.loads(pipeline.shell(command.replace("TRACE_ID", trace_id)))
        return answer["data"]["result"] if "result" in answer["data"] else answer["data"]

    def all_of_it() -> str:
        """The id of the trace, which every backend has."""
        (trace,) = until(lambda: asked(traces), "the trace")
        (series,) = until(lambda: asked(quantile), "a time to first token")
        (exemplar,) = until(lambda: asked(exemplars), "an exemplar")[0]["exemplars"]
        until(lambda: len(asked(lines, trace["traceID"])) > 1, "the lines")
        streams = asked(lines, trace["traceID"])
        assert float(series["value"][1]) > 0
        assert exemplar["labels"]["trace_id"] == trace["traceID"]
        said = [line for stream in streams for _, line in stream["values"]]
        assert sorted(said) == ["answering", "inference ended"]
        # The whole resource passes.
        assert all("redaction.redacted.count" not in tags(process) for process in trace["processes"].values())
        return str(trace["traceID"])

    with pipeline.running() as process:
        pipeline.serve("my-service")
        sent = all_of_it()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not is_there(process.pid)
    back_up, restore = documented("As processes")
    pipeline.shell(back_up.replace("FOLDER", f'"{pipeline.folder}"'))
    pipeline.folder = pipeline.folder.with_name("restored")
    pipeline.shell(restore.replace("FOLDER", f'"{pipeline.folder}"'))
    with pipeline.running() as process:
        assert all_of_it() == sent
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C on a terminal
        assert process.wait(60) == 0
        assert not is_there(process.pid)


def test_a_server_that_ends_is_named_and_takes_the_others_along(pipeline: Pipeline) -> None:
    process = pipeline.start(JAEGER_STORE="none")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"jaeger has ended; {pipeline.folder}/logs/jaeger.log says why" in errors
    assert "none.yaml" in errors
    assert not is_there(process.pid)


def test_a_port_that_is_taken_is_named_before_anything_starts(pipeline: Pipeline) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for wrong in (port, "0", "none"):
            process = pipeline.start(LOKI_PORT=wrong)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 1
            assert errors == f"processes.sh: port {wrong} is taken, or is none: give another in LOKI_PORT\n"
    assert not pipeline.folder.exists()


@pytest.mark.parametrize("arguments", [("one", "two"), ("--folder",), ("",)])
def test_other_arguments_are_refused(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["sh", str(SCRIPT), *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "processes.sh: it takes one folder; --help says more\n")


def test_programs_that_are_missing_are_named(tmp_path: Path) -> None:
    for name in ("sh", "curl"):
        found = next(Path(folder, name) for folder in os.get_exec_path() if Path(folder, name).exists())
        (tmp_path / name).symlink_to(found)
    done = subprocess.run(
        ["sh", str(SCRIPT), str(tmp_path)], env={"PATH": str(tmp_path)}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "not on PATH: jaeger prometheus loki alertmanager otelcol (" in done.stderr
