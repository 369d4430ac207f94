"""`otelext collector validate` as it is typed."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from otelext.cli._root import root
from tests.compose.composition import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FAULTY = "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: 0.0.0.0:4317\n"


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one receiver that nobody uses, and no Collector on PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "faulty.yaml").write_text(FAULTY)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["collector", "validate", *arguments])


def test_a_clean_file_is_said_to_be_clean(faulty: Path) -> None:  # without a Collector on PATH
    done = run(str(ROOT / "collector" / "single.yaml"))
    assert (done.exit_code, done.output.strip()) == (0, f"{ROOT / 'collector' / 'single.yaml'}: nothing to say")


def test_findings_name_line_reason_and_way_out(faulty: Path) -> None:
    done = run("faulty.yaml")
    assert done.exit_code == 1
    assert "faulty.yaml:2: warning: the receiver otlp is used nowhere [unused]\n    why: It does nothing" in done.output
    assert done.output.splitlines()[-1] == "1 error, 1 warning"


def test_json_has_every_field(faulty: Path) -> None:
    done = run("--json", "faulty.yaml")
    assert done.exit_code == 1
    found = {one["rule"]: one for one in json.loads(done.output)}
    assert found["unused"] == {
        "rule": "unused",
        "severity": "warning",
        "file": "faulty.yaml",
        "line": 2,
        "message": "the receiver otlp is used nowhere",
        "why": found["unused"]["why"],
        "instead": "name it in a pipeline, or remove it",
    }


def test_sarif_points_at_the_line(faulty: Path) -> None:
    done = run("--sarif", "faulty.yaml")
    (logged,) = json.loads(done.output)["runs"]
    results = {one["ruleId"]: one for one in logged["results"]}
    place = results["unused"]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "faulty.yaml"}, "region": {"startLine": 2}}
    rules = logged["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in logged["results"])


def test_what_is_ignored_or_below_the_severity_is_not_said(faulty: Path) -> None:
    assert "unused" not in run("--severity", "error", "faulty.yaml").output
    done = run("--ignore", "unused", "--ignore", "incomplete-pipeline", "faulty.yaml")
    assert (done.exit_code, done.output.strip()) == (0, "faulty.yaml: nothing to say")


def test_an_unknown_rule_is_named_with_the_known_ones(faulty: Path) -> None:
    done = run("--ignore", "unusd", "faulty.yaml")
    assert done.exit_code == 2
    assert "there is no rule unusd" in done.output
    assert "unused" in done.output


def test_a_file_that_cannot_be_read_is_another_status(faulty: Path) -> None:
    (faulty / "broken.yaml").write_text("receivers: [\n")
    for name in ("nothing.yaml", "broken.yaml"):
        done = run("faulty.yaml", name)
        assert done.exit_code == 2
        assert done.output.startswith(f"Error: {name}")


def test_a_collector_on_path_is_asked_and_what_it_says_is_a_finding(faulty: Path) -> None:
    collector = faulty / "otelcol"
    collector.write_text(
        f"#!/bin/sh\necho \"$@\" > {faulty}/asked\necho 'Error: it has no wings at line 3' >&2\nexit 1\n"
    )
    collector.chmod(stat.S_IRWXU)
    done = run("--overlay", "faulty.yaml", "faulty.yaml")
    assert "faulty.yaml:3: error: it has no wings at line 3 [refused-by-otelcol]" in done.output
    assert (faulty / "asked").read_text().split() == [
        "validate",
        "--config=file:faulty.yaml",
        "--config=file:faulty.yaml",
    ]
    assert "wings" not in run("--no-otelcol", "faulty.yaml").output
    os.unlink(collector)  # noqa: PTH108


@pytest.mark.parametrize(
    ("script", "told"),
    [("kill -9 $$", "was not asked: it ended with status -9"), ("exit 1", "was not asked: it ended with status 1")],
)
def test_a_collector_that_breaks_down_is_no_finding(faulty: Path, script: str, told: str) -> None:
    collector = faulty / "otelcol"
    collector.write_text(f"#!/bin/sh\n{script}\n")
    collector.chmod(stat.S_IRWXU)
    done = run("faulty.yaml")
    assert told in done.stderr
    assert "refused-by-otelcol" not in done.output


def test_what_a_collector_says_need_not_be_utf_8(faulty: Path) -> None:
    collector = faulty / "otelcol"
    collector.write_text("#!/bin/sh\nprintf 'no \\377 wings' >&2\nexit 1\n")
    collector.chmod(stat.S_IRWXU)
    assert "no \ufffd wings [refused-by-otelcol]" in run("faulty.yaml").output


def test_standard_input_is_read_once(faulty: Path) -> None:
    collector = faulty / "otelcol"
    collector.write_text("#!/bin/sh\necho 'Error: empty' >&2\nexit 1\n")
    collector.chmod(stat.S_IRWXU)
    done = CliRunner().invoke(root, ["collector", "validate", "-"], input=FAULTY)
    assert "-:2: warning: the receiver otlp is used nowhere [unused]" in done.output
    assert "was not asked: - can't be read twice" in done.stderr
    assert "refused-by-otelcol" not in done.output


def test_what_a_collector_on_path_was_built_with_is_known(faulty: Path) -> None:
    (faulty / "own.yaml").write_text(FAULTY.replace("  otlp:", "  of_our_own:"))
    assert "there is no receiver of type of_our_own" in run("own.yaml").output
    (faulty / "otelcol").write_text(
        "#!/bin/sh\n[ $1 = validate ] || printf 'receivers:\\n  - name: of_our_own\\nexporters: []\\nproviders:\\n'\n"
    )
    (faulty / "otelcol").chmod(stat.S_IRWXU)
    assert "of type of_our_own" not in run("own.yaml").output
    assert "of type of_our_own" in run("--no-otelcol", "own.yaml").output


@pytest.mark.parametrize("listed", ["", "receivers: [", "a text"])
def test_a_collector_that_lists_no_components_is_said_to(faulty: Path, listed: str) -> None:
    (faulty / "otelcol").write_text(f"#!/bin/sh\nprintf '{listed}'\n")
    (faulty / "otelcol").chmod(stat.S_IRWXU)
    done = run("faulty.yaml")
    assert f"{faulty / 'otelcol'} was not asked for its components: it lists no components" in done.output
    assert "the receiver otlp is used nowhere" in done.output


def test_where_a_collector_refuses_a_file_with_variables_they_are_told_to_be_set(faulty: Path) -> None:
    (faulty / "otelcol").write_text("#!/bin/sh\necho 'Error: no such file' >&2\nexit 1\n")
    (faulty / "otelcol").chmod(stat.S_IRWXU)
    (faulty / "variables.yaml").write_text(FAULTY.replace("0.0.0.0", "${env:HOST:-127.0.0.1}"))
    assert "the variables that the file names have to be set here" in run("variables.yaml").output
    assert "variables" not in run("faulty.yaml").output
