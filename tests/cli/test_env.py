"""`otelext env`."""

from __future__ import annotations

import json
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


def test_the_table_shows_values_as_they_are() -> None:
    output = printed(OTEL_SERVICE_NAME="[bold]invoices[/bold]")
    assert "[bold]invoices[/bold]" in output
    for variable in variables():
        assert variable.name in output
