"""`otelext privacy`: what would leave, as it is printed."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from otelext import semconv
from otelext.capture import failure
from otelext.cli.privacy import command
from otelext.distro.dry_run import TYPED
from otelext.processors import allowed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "_last", {})
    for name in ("CAPTURE", "ALLOW_ATTRIBUTES", "TENANTS", "HASH_KEY", "PRIVACY_SAMPLES"):
        monkeypatch.delenv(f"OTELEXT_{name}", raising=False)


def printed(*arguments: str, **environ: str) -> str:
    found = CliRunner().invoke(command, arguments, env=environ)
    assert found.exit_code == 0, found.output
    return found.stdout


def rows(**environ: str) -> dict[str, str | None]:
    found = json.loads(printed("--json", **environ))
    return {f"{row['signal']}: {row['place']}": row["leaves"] for row in found["dry_run"]}


def test_nothing_that_was_typed_would_leave() -> None:
    assert [leaves for leaves in rows().values() if leaves is not None and TYPED in leaves] == []


def test_the_whole_list_is_put_in_and_leaves() -> None:
    found = rows()
    with_a_form = {semconv.TENANT_ID, semconv.USER_ID}
    for name in allowed.names() - with_a_form:
        assert found[f"traces: span attribute {name}"] is not None, name


@pytest.mark.parametrize("opened", [c for c in semconv.CAPTURES if c != "unwrapped_exporters"])
def test_each_opt_out_changes_what_is_printed(opened: str) -> None:
    found = rows(OTELEXT_CAPTURE=opened)
    assert any(leaves is not None and TYPED in leaves for leaves in found.values())


def test_what_was_opened_is_printed_first() -> None:
    found = printed(OTELEXT_CAPTURE="log_arguments").partition("A dry run")[2].splitlines()
    assert "logs: message with an argument" in found[1]
    assert f"LEAVES: receipt of {TYPED} read" in found[1]
    assert "LEAVES" not in printed()


def test_a_pattern_is_refused_as_a_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert "none (OTELEXT_ALLOW_ATTRIBUTES)" in printed(OTELEXT_ALLOW_ATTRIBUTES="invoice.*")
    assert "'invoice.*' is no name of an attribute" in caplog.text


def test_the_settings_are_those_of_the_environment() -> None:
    found = printed(
        OTELEXT_CAPTURE="span_names",
        OTELEXT_ALLOW_ATTRIBUTES="invoice.kind",
        OTELEXT_TENANTS="ward-3,ward-7",
        OTELEXT_HASH_KEY="a key that nobody sees",
    )
    assert "span_names" in found
    assert "invoice.kind" in found
    assert "ward-3, ward-7; others as other" in found
    assert "HMAC-SHA-256" in found
    assert "nobody sees" not in found


def test_a_setting_that_is_not_valid_opens_nothing_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = rows(OTELEXT_CAPTURE="span_names,evrything")
    assert found["traces: span name, made at run time"] == "[redacted]"
    assert "evrything" in caplog.text


def test_all_of_it_is_printed_on_demand() -> None:
    assert "http.route" not in printed().partition("Not on the list")[0]
    assert "http.route" in printed("--all").partition("Not on the list")[0]


def test_samples_of_a_running_service_are_printed(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    sample: dict[str, Any] = {"signal": "traces", "place": "span attribute", "name": "http.route", "value": "/r/{id}"}
    path.write_text(json.dumps({**sample, "pid": 7}) + "\n")
    for found in (printed("--samples", str(path)), printed(OTELEXT_PRIVACY_SAMPLES=str(path))):
        assert "1 running process" in found
        assert "/r/{id}" in found
    assert json.loads(printed("--json", "--samples", str(path)))["samples"][0]["name"] == "http.route"


def test_another_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_text("not a sample\n")
    found = CliRunner().invoke(command, ["--samples", str(path)])
    assert found.exit_code == 2
    assert "not a sample" in found.stderr
    assert "OTELEXT_PRIVACY_SAMPLES" in found.stderr
