"""The real Collector's word on each fault that `otelext collector validate` calls an error, and on those that it doesn't."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from otelext.pipeline import otelcol
from otelext.pipeline.validate import load, validate
from tests.pipeline.faults import CLEAN, FAULTS
from tests.stack.composition import free_port
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the Collector's own `validate` lets through, and what comes of it.
ENDS_AT_ITS_START: Final = {"port-twice"}
GOES_NOWHERE: Final = {"endpoint-form", "sends-to-itself"}
# Components that this Collector was not built with.
NOT_BUILT_IN: Final = ("batch:", "zpages:")


def written(text: str, folder: Path) -> Path:
    file = folder / "config.yaml"
    file.write_text(text.replace("/var/lib/otelcol", str(folder)))
    return file


def refused(binary: Path, file: Path) -> bool:
    return bool(otelcol.check(str(binary), [str(file)]))


@contextmanager
def started(binary: Path, file: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The Collector on a file, and what it writes."""
    log = file.with_name("log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, f"--config={file}"], stdout=output, stderr=output, env={"PATH": os.environ["PATH"]}
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def test_the_collector_says_what_it_was_built_with(programs: dict[str, Path]) -> None:
    built_in = otelcol.components(str(programs["otelcol"]))
    assert {("receiver", "otlp"), ("exporter", "otlp_http"), ("connector", "span_metrics")} <= built_in
    assert ("processor", "batch") not in built_in


def test_the_collector_takes_what_has_no_fault(programs: dict[str, Path], tmp_path: Path) -> None:
    assert not refused(programs["otelcol"], written(CLEAN, tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "instead"), FAULTS, ids=[f"{f[2]}-{n}" for n, f in enumerate(FAULTS)]
)
def test_the_collector_refuses_what_is_called_an_error_and_no_more(
    programs: dict[str, Path], tmp_path: Path, old: str, new: str, rule: str, line: str, instead: str
) -> None:
    if any(part in new for part in NOT_BUILT_IN):
        new = new.replace("batch:", "filter:").replace("zpages:", "health_check:")
    file = written(CLEAN.replace(old, new, 1), tmp_path)
    errors = [one for one in validate([load(str(file))]) if one.rule.severity == "error"]
    let_through = {one.rule.id for one in errors} <= ENDS_AT_ITS_START | GOES_NOWHERE
    only_started = bool(errors) and all("service does not start" in one.message for one in errors)
    assert refused(programs["otelcol"], file) == bool(errors and not let_through and not only_started), (line, instead)


@pytest.mark.parametrize(
    ("old", "new"),
    [("127.0.0.1:4318", "127.0.0.1:4317"), ("extensions: [file_storage]", "extensions: []")],
    ids=["port-twice", "storage-not-started"],
)
def test_the_collector_ends_at_its_start_with_what_only_that_can_tell(
    programs: dict[str, Path], tmp_path: Path, old: str, new: str
) -> None:
    telemetry = f"service:\n  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {free_port()}}}}}}}}}]}}}}\n"
    text = CLEAN.replace(old, new, 1).replace("service:\n", telemetry)
    file = written(text.replace("4317", str(free_port())).replace("4318", str(free_port())), tmp_path)
    assert not refused(programs["otelcol"], file)
    with started(programs["otelcol"], file) as (process, log):
        assert until(lambda: process.poll() is not None, "the end of the Collector")
        assert process.returncode == 1, log.read_text()


def test_the_collector_takes_an_endpoint_that_is_no_url_and_cannot_send_to_it(
    programs: dict[str, Path], tmp_path: Path
) -> None:
    port = free_port()
    text = CLEAN.replace("http://prometheus:9090/api/v1/otlp", "database:4318").replace("4317", str(free_port()))
    text = text.replace("127.0.0.1:4318", f"127.0.0.1:{port}")
    file = written(text.replace("service:\n", "service:\n  telemetry: {metrics: {level: none}}\n"), tmp_path)
    assert [one.rule.id for one in validate([load(str(file))])] == ["endpoint-form"]
    assert not refused(programs["otelcol"], file)
    with started(programs["otelcol"], file) as (_process, log):
        metric = {"name": "m", "gauge": {"dataPoints": [{"asInt": 1, "timeUnixNano": str(time.time_ns())}]}}
        body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}

        def sent() -> bool:
            try:
                return httpx.post(f"http://127.0.0.1:{port}/v1/metrics", json=body, trust_env=False).is_success
            except httpx.TransportError:
                return False

        until(sent, "the receiver")
        assert until(lambda: b"unsupported protocol scheme" in log.read_bytes(), "the exporter's failure")
