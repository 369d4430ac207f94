"""`otelext env`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from otelext.cli.env import command
from otelext.distro.variables import variables


def printed(*options: str, **env: str) -> str:
    result = CliRunner().invoke(command, options, env={"COLUMNS": "200", **env})
    assert result.exit_code == 0, result.output
    return result.output


def row(name: str, **env: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = json.loads(printed("--json", **env))
    (found,) = (row for row in rows if row["name"] == name)
    return found


def test_every_variable_is_there_once() -> None:
    rows = json.loads(printed("--json"))
    assert [row["name"] for row in rows] == [variable.name for variable in variables()]
    assert len({row["name"] for row in rows}) == len(rows)
    assert all(row["meaning"] for row in rows)


def test_a_variable_that_is_set_shows_its_value_beside_its_default() -> None:
    assert row("OTEL_METRIC_EXPORT_INTERVAL", OTEL_METRIC_EXPORT_INTERVAL="1000")["value"] == "1000"
    assert row("OTEL_METRIC_EXPORT_INTERVAL", OTEL_METRIC_EXPORT_INTERVAL="1000")["default"] == "15000"
    assert row("OTELEXT_MODELS", OTELEXT_MODELS="a,b")["value"] == "a,b"


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_not_set(value: str) -> None:
    assert row("OTELEXT_QUEUE_SIZE", OTELEXT_QUEUE_SIZE=value)["value"] is None


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_credentials_are_not_shown(options: tuple[str, ...]) -> None:
    output = printed(*options, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer s3cret")
    assert "s3cret" not in output
    assert "(set, not shown)" in output


def test_values_are_shown_as_they_are() -> None:
    output = printed(OTEL_SERVICE_NAME="[bold]invoices[/bold]")
    assert "[bold]invoices[/bold]" in output
    for variable in variables():
        assert variable.name in output


def test_a_pipe_gets_every_variable_whole_on_one_line() -> None:
    default = "http://localhost:4318"
    value = "http://collector.telemetry.svc.cluster.local:4318/a/rather/long/base/path/of/ours"
    lines = printed(COLUMNS="80", OTEL_EXPORTER_OTLP_ENDPOINT=value).splitlines()
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={value}  (default {default})" in lines
    assert [line.strip() for line in lines if line.startswith(" ")] == [variable.meaning for variable in variables()]
    assert all(line == line.rstrip() for line in lines)


def test_a_terminal_of_any_width_breaks_between_words() -> None:
    for columns in (80, 40):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "otelext.cli", "env"], stdout=theirs, env={**os.environ, "COLUMNS": str(columns)}
        ) as process:
            os.close(theirs)
            output = _read_to_the_end(ours)
        assert process.returncode == 0
        meanings = [line for line in output.splitlines() if line.startswith(" ")]
        assert max(map(len, meanings)) <= columns
        words = {word for variable in variables() for word in variable.meaning.split()}
        assert {word for line in meanings for word in line.split()} == words


def _read_to_the_end(terminal: int) -> str:
    chunks = []
    with open(terminal, "rb", buffering=0) as stream:
        try:
            while chunk := stream.read(65536):
                chunks.append(chunk)
        except OSError:  # how Linux says that the other side has closed
            pass
    return b"".join(chunks).decode()
