"""The public types under mypy --strict and pyright: what is right passes, and each wrong line is an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ACCEPTED = HERE / "accepted.py"
REJECTED = """\
from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import otelext


@otelext.inference("chat")
def function(prompt: str) -> int:
    return len(prompt)


@otelext.inference("chat")
async def coroutine(prompt: str) -> int:
    return len(prompt)


async def wrong(stream: AsyncIterator[str]) -> None:
    function(5)  # rejected
    function()  # rejected
    function("a", pages=1)  # rejected
    await coroutine(5)  # rejected
    text: str = function("a")  # rejected
    other: int = coroutine("a")  # rejected
    otelext.inference()  # rejected
    otelext.inference(5)  # rejected
    otelext.inference("chat", model=5)  # rejected
    otelext.inference("chat", modell="m")  # rejected
    otelext.inference("chat", tokens="len")  # rejected
    otelext.inference("chat", "m")  # rejected
    otelext.inference("chat")(5)  # rejected
    otelext.stage()  # rejected
    otelext.stage(5)  # rejected
    otelext.stage("decode", inference="chat")  # rejected
    otelext.stage("decode")("function")  # rejected
    inf = otelext.current_inference()
    inf.set_input(images="1")  # rejected
    inf.set_input(1)  # rejected
    inf.set_usage(tokens=1)  # rejected
    inf.set_model(5)  # rejected
    inf.set_cost("1")  # rejected
    inf.set_outcome("nonsense")  # rejected
    inf.set_attribute(5, 1)  # rejected
    inf.set_response(finish_reasons=5)  # rejected
    inf.add_tokens("1")  # rejected
    inf.stream(5)  # rejected
    inf.stream(["a"], tokens="len")  # rejected
    chunks: Iterator[int] = inf.stream(["a"])  # rejected
    mixed: Iterator[str] = inf.stream(stream)  # rejected
    ttft: float = inf.ttft  # rejected
    inf.ttft = 1.0  # rejected
    otelext.force_flush("1")  # rejected
    del text, other, chunks, mixed, ttft
"""
"""Each line that is marked must be an error, and no other; a text, so that nobody else checks it."""

EXPECTED = {number for number, line in enumerate(REJECTED.splitlines(), 1) if line.endswith("# rejected")}


def mypy(path: Path, version: str) -> set[tuple[int, str]]:
    result = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--output", "json", "--python-version", version),
            *(
                "--config-file",
                "",
                "--explicit-package-bases",
                "--cache-dir",
                str(ROOT / ".mypy_cache" / "typing"),
                str(path),
            ),
        ],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return {(entry["line"], f"{entry['file']}: {entry['message']}") for entry in found if entry["severity"] == "error"}


def pyright(path: Path, version: str) -> set[tuple[int, str]]:
    command = shutil.which("basedpyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")
    if command is None:
        pytest.skip("pyright is not installed")
    settings = {
        "typeCheckingMode": "strict",
        "include": [str(path)],
        "pythonVersion": version,
        "extraPaths": [str(ROOT)],
    }
    settings["reportUnusedCallResult"] = settings["reportUnusedCoroutine"] = "none"
    project = ROOT / ".mypy_cache" / f"pyright-{path.stem}-{version}.json"
    project.parent.mkdir(exist_ok=True)
    project.write_text(json.dumps(settings))
    result = subprocess.run(
        [command, "--outputjson", "--project", str(project), "--pythonpath", sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    report = json.loads(result.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, result.stdout
    return {
        (entry["range"]["start"]["line"] + 1, f"{entry['file']}: {entry['message']}")
        for entry in report["generalDiagnostics"]
        if entry["severity"] == "error"
    }


CHECKERS = [pytest.param(mypy, "3.10"), pytest.param(mypy, "3.13"), pytest.param(pyright, "3.10")]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("check", "version"), CHECKERS)
def test_what_is_right_is_accepted(check: Callable[[Path, str], set[tuple[int, str]]], version: str) -> None:
    assert check(ACCEPTED, version) == set()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("check", "version"), CHECKERS)
def test_what_is_wrong_is_rejected(
    check: Callable[[Path, str], set[tuple[int, str]]], version: str, tmp_path: Path
) -> None:
    path = tmp_path / "rejected.py"
    path.write_text(REJECTED)
    errors = check(path, version)
    assert len(EXPECTED) > 30
    lines = {line for line, _ in errors}
    assert EXPECTED - lines == set(), "not rejected"
    assert {error for error in errors if error[0] not in EXPECTED} == set()
