from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.collector.configurations import FOLDER
from tests.viewer.running import run_cli

if TYPE_CHECKING:
    import pathlib


def render(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_cli("collector", "render", *arguments, "--out", str(folder))


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_writes_what_a_collector_needs_and_says_how_to_start_it(tmp_path: pathlib.Path) -> None:
    found = render(tmp_path, "single", "--traces", "tempo", "--auth", "bearer")
    assert (found.returncode, found.stderr) == (0, "")
    assert names(tmp_path) == ["allowed_attributes.yaml", "single.yaml"]
    attributes = f"OTELEXT_COLLECTOR_ALLOWED_ATTRIBUTES={tmp_path / 'allowed_attributes.yaml'}"
    head, must, may, more, *remarks, start = found.stdout.strip().split("\n\n")
    assert head.splitlines() == [f"wrote {tmp_path / name}" for name in ("single.yaml", "allowed_attributes.yaml")]
    assert must.splitlines() == [
        "These have to be set:",
        "  OTELEXT_COLLECTOR_TRACES_ENDPOINT=tempo:4317",
        "      where traces go: host and port of OTLP over gRPC",
        f"  {attributes}",
        "      the file of attributes that pass",
        "  OTELEXT_COLLECTOR_TOKEN_FILE  (no default)",
        "      file with a token a line",
    ]
    assert "  OTELEXT_COLLECTOR_LOGS_ENDPOINT=http://loki:3100/otlp/v1/logs\n" in may
    count = int(more.split()[0])
    variables = re.findall(r"\{env:(\w+)", (tmp_path / "single.yaml").read_text())
    assert count + found.stdout.count("\n      ") == len(set(variables))
    assert remarks == ["A token is readable on the way: beyond loopback add --auth mtls."]
    assert start.splitlines() == [
        "Start it:",
        f"  export {attributes}",
        f"  otelcol-contrib --config={tmp_path / 'single.yaml'}",
    ]


def test_without_a_folder_it_writes_to_the_current_one(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "otelext.cli", "collector", "render"]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("wrote single.yaml\nwrote allowed_attributes.yaml\n")
    assert (tmp_path / "single.yaml").read_bytes() == (FOLDER / "single.yaml").read_bytes()
    assert f"--config={tmp_path / 'single.yaml'}" in found.stdout


def test_an_agent_starts_with_the_gate_that_its_file_names(tmp_path: pathlib.Path) -> None:
    found = render(tmp_path, "agent", "--auth", "bearer")
    command = f"  otelcol-contrib --feature-gates=stanza.synchronousLogEmitter --config={tmp_path / 'agent.yaml'}"
    assert found.stdout.endswith(f"\n\nStart it:\n{command}\n")
    assert "shows its gateways none" in found.stdout
    assert names(tmp_path) == ["agent.yaml"]


def test_an_edited_file_is_overwritten_by_force_alone(tmp_path: pathlib.Path) -> None:
    render(tmp_path, "single")
    path = tmp_path / "single.yaml"
    path.write_text(path.read_text() + "# mine\n")
    (tmp_path / "allowed_attributes.yaml").unlink()
    refused = render(tmp_path, "single", "--metrics", "mimir")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{path} was edited" in refused.stderr
    assert "--force" in refused.stderr
    assert path.read_text().endswith("# mine\n")
    assert names(tmp_path) == ["single.yaml"], "nothing is written where something is refused"
    forced = render(tmp_path, "single", "--metrics", "mimir", "--force")
    assert forced.returncode == 0
    assert "otlp_http/mimir" in path.read_text()


def test_an_unedited_one_is_replaced_and_the_same_is_left(tmp_path: pathlib.Path) -> None:
    for arguments in (["--sampling", "tail"], [], ["--logs", "otlp"]):
        assert f"wrote {tmp_path / 'single.yaml'}\n" in render(tmp_path, "single", *arguments).stdout
        before = (tmp_path / "single.yaml").stat()
        assert f"unchanged {tmp_path / 'single.yaml'}\n" in render(tmp_path, "single", *arguments).stdout
        after = (tmp_path / "single.yaml").stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_diff_writes_nothing_and_its_exit_code_says_whether_there_is_one(tmp_path: pathlib.Path) -> None:
    found = render(tmp_path, "single", "--diff")
    assert found.returncode == 1
    assert found.stdout.startswith(f"--- /dev/null\n+++ {tmp_path / 'single.yaml'}\n")
    assert names(tmp_path) == []
    render(tmp_path, "single")
    same = render(tmp_path, "single", "--diff")
    assert (same.returncode, same.stdout, same.stderr) == (0, "", "")
    path = tmp_path / "single.yaml"
    path.write_text(path.read_text().replace("jaeger:4317", "elsewhere:4317"))
    edited = render(tmp_path, "single", "--diff")
    assert edited.returncode == 1
    changed = [line for line in edited.stdout.splitlines() if re.match(r"[-+][^-+]", line)]
    assert [re.sub(r".*:-(.*?)}.*", r"\1", line) for line in changed] == ["elsewhere:4317", "jaeger:4317"]
    assert "elsewhere" in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["agent", "--traces", "tempo"], "--traces is no choice of an agent's"),
        (["gateway", "--kafka", "consumer", "--auth", "mtls"], "--auth has nothing to guard"),
        (["single", "--kafka", "producer"], "single takes --kafka consumer"),
        (["single", "--auth", "none", "--auth", "mtls"], "--auth none excludes every other"),
        (["single", "--diff", "--force"], "--diff and --force exclude each other"),
        (["double"], "'double' is not one of 'single', 'agent', 'gateway'"),
        (["single", "--metrics", "influx"], "'influx' is not one of"),
    ],
)
def test_what_does_not_go_together_is_wrong_use(tmp_path: pathlib.Path, arguments: list[str], said: str) -> None:
    found = render(tmp_path / "new", *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert said in found.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "missing"), [(["--kafka", "consumer"], "kafka"), (["--logs", "elasticsearch"], "ela")]
)
def test_what_only_the_distribution_has_is_named(tmp_path: pathlib.Path, arguments: list[str], missing: str) -> None:
    found = render(tmp_path, "gateway", *arguments)
    assert f"`make stack` builds a Collector without the {missing}" in found.stdout


def test_a_place_that_cannot_be_written_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "single.yaml").mkdir()
    found = render(tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    assert f"{tmp_path / 'single.yaml'}: Is a directory" in found.stderr


def test_help_says_what_it_takes_and_what_it_answers() -> None:
    found = run_cli("collector", "render", "--help")
    assert found.returncode == 0
    for word in ("--traces [jaeger|tempo|otlp]", "[default: jaeger]", "--force", "Exit code 1"):
        assert word in found.stdout
    assert "\n  render " in run_cli("collector", "--help").stdout
