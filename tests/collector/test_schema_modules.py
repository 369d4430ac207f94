"""`python -m collector.tools.schema`: the modules that it asks, and what it says about the file."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

from collector.tools.schema import COMPONENTS
from otelext.pipeline.components_json import read

ROOT = pathlib.Path(__file__).parents[2]
TOOLS = ROOT / "collector/tools"


def modules(tool: str) -> dict[str, str]:
    return dict(re.findall(r"^\t(\S+) (v\S+)", (TOOLS / tool / "go.mod").read_text(), re.MULTILINE))


def test_what_the_collector_is_built_of_is_asked_in_the_same_version() -> None:
    collector, schema = modules("collector"), modules("schema")
    assert len(collector) > 300
    assert {module: schema.get(module) for module in collector} == collector


def test_every_component_that_the_collector_is_built_with_is_asked() -> None:
    builder = (ROOT / "collector/builder.yaml").read_text()
    built = {line for line in re.findall(r"^ +- gomod: (\S+ \S+)$", builder, re.MULTILINE) if "/confmap/" not in line}
    assert len(built) > 15
    assert built <= {one.source for one in read().present.values() if one.keys}


# --- the command, with a stand-in for Go ------------------------------------------------------------------------------


@pytest.fixture
def env(tmp_path: pathlib.Path) -> dict[str, str]:
    go = tmp_path / "go"
    go.write_text('#!/bin/sh\n[ "$1" = env ] && { echo \'{"GOVERSION": "go1.99.0"}\'; exit; }\n. "$FAKE"\n')
    go.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"])
    return {**os.environ, "PATH": path, "FAKE": str(tmp_path / "program")}


def check(env: dict[str, str], program: str) -> tuple[int, str]:
    pathlib.Path(env["FAKE"]).write_text(program)
    command = [sys.executable, "-m", "collector.tools.schema", "--check"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def test_a_current_file_is_passed_in_silence(env: dict[str, str]) -> None:
    assert check(env, f"cat '{COMPONENTS}'") == (0, "")


def test_a_file_that_is_not_current_fails_and_the_lines_are_named(env: dict[str, str]) -> None:
    code, said = check(env, f'sed \'s/"type":"redis"/"type":"redes"/\' \'{COMPONENTS}\'')
    assert code == 1
    assert '-{"kind":"receiver","type":"redis"' in said
    assert '+{"kind":"receiver","type":"redes"' in said
    assert said.endswith("run python3 -m collector.tools.schema\n")


def test_a_program_that_fails_says_what_go_said(env: dict[str, str]) -> None:
    assert check(env, "echo 'main.go:1: no such thing' >&2; exit 1") == (1, "schema: main.go:1: no such thing\n")


def test_without_go_nothing_is_called_current(env: dict[str, str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "go").unlink()
    env["PATH"] = str(tmp_path)
    code, said = check(env, "")
    assert code == 2
    assert "no Go is on PATH" in said
