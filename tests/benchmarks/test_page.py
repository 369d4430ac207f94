"""All benchmarks together: nothing stands in the table or on the page that was not measured."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = Path(__file__).parents[2] / "benchmarks"
FIGURES = ("request path", "total CPU")
FAKE = """
import json, pathlib, sys
ratio, status = {ratio}, {status}
if status != 1:
    raw, ours = dict.fromkeys({figures}, 1.0), dict.fromkeys({figures}, ratio)
    contenders = dict.fromkeys(
        (
            "otelext",
            "otelext, each request emitted alone",
            "otelext, with a line of each",
            "the same once more: the noise",
        ),
        ours,
    )
    written = pathlib.Path(sys.argv[sys.argv.index("--json") + 1])
    written.write_text(json.dumps(dict(base="raw", rounds=[dict(contenders, raw=raw)])))
print("a table of", ratio)
sys.exit(status)
"""


class Benchmarks:
    """`python benchmarks`, with programs that pretend to measure."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.page = folder / "page.md"
        self.json = folder / "json"
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._main: Callable[[], int] = runpy.run_path(str(PROGRAMS / "__main__.py"))["main"]
        monkeypatch.setitem(self._main.__globals__, "HERE", folder)

    def __call__(self, *options: str, ratio: float = 0.1, status: int = 0) -> int:
        program = FAKE.format(ratio=ratio, status=status, figures=FIGURES)
        (self._folder / "request_path.py").write_text(program)
        self._monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "request_path", *options])
        return self._main()

    def write(self, ratio: float, status: int = 0) -> int:
        return self("--write", str(self.page), ratio=ratio, status=status)


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmarks:
    monkeypatch.syspath_prepend(str(PROGRAMS))
    found = Benchmarks(tmp_path, monkeypatch)
    found.page.write_text("before\n<!-- figures: begin -->\n<!-- figures: end -->\nafter\n")
    return found


def test_a_program_that_failed_leaves_no_figures_of_an_earlier_run(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmarks("--json", str(benchmarks.json)) == 0
    assert "| request path, to the same by hand | 0.12 | **0.100** |" in capsys.readouterr().out
    assert benchmarks("--json", str(benchmarks.json), status=1) == 1
    told = capsys.readouterr()
    assert "| request path, to the same by hand | 0.12 | not measured |" in told.out
    assert "**0.100**" not in told.out
    assert "failed: request_path" in told.err
    assert not list(benchmarks.json.iterdir())


def test_a_missed_target_and_a_wrong_name_are_told_apart(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmarks(ratio=0.13) == 3
    assert "missed: request path, to the same by hand" in capsys.readouterr().err
    with pytest.raises(SystemExit) as wrong:
        benchmarks("--only", "bogus")
    assert wrong.value.code == 2


def test_what_was_not_measured_stays_on_the_page(benchmarks: Benchmarks) -> None:
    assert benchmarks.write(0.1) == 0
    page = benchmarks.page.read_text()
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert "### Request path\n\n`python benchmarks/request_path.py --rounds 11`, in " in page
    other = "### Streams\n\n`python benchmarks/streams.py`\n\nits table\n"
    token = "a token of a generator, to the leanest by hand"
    page = page.replace("<!-- figures: end -->", f"{other}<!-- figures: end -->")
    page = page.replace(f"| {token} | 1.10 | not measured |  |  |  |", f"| {token} | 1.10 | **1.094** | | | yes |")
    assert "1.094" in page
    benchmarks.page.write_text(page)
    assert benchmarks.write(0.13) == 3
    page = benchmarks.page.read_text()
    assert other in page
    assert f"| {token} | 1.10 | **1.094** | | | yes |" in page
    assert "a table of 0.13" in page
    assert "a table of 0.1\n" not in page
    assert page.index("### Request path") < page.index("### Streams")


def test_nothing_is_written_after_a_program_that_failed(benchmarks: Benchmarks) -> None:
    benchmarks.write(0.1)
    before = benchmarks.page.read_text()
    assert benchmarks.write(0.13, status=1) == 1
    assert benchmarks.page.read_text() == before


def test_figures_of_another_machine_are_not_mixed_with_these(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmarks.write(0.1)
    page = benchmarks.page.read_text()
    benchmarks.page.write_text(page.replace("Measured on: ", "Measured on: a faster "))
    with pytest.raises(SystemExit) as wrong:
        benchmarks.write(0.13)
    assert wrong.value.code == 2
    assert "another machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "options", "says"),
    [
        ("per_token", ("--rounds", "0"), "'0' is not a whole number of at least 1"),
        ("request_path", ("--repetitions", "0"), "'0' is not a whole number of at least 1"),
        ("replay", ("--compression", "0"), "'0' is not a number above 0"),
        ("long_run", ("--inferences", "5000"), "5000 are too few"),
        ("growth", ("--contender", "bogus"), "invalid choice: 'bogus'"),
        ("streams", ("--only", "bogus"), "invalid choice: 'bogus'"),
    ],
)
def test_a_wrong_option_is_said_without_a_traceback(program: str, options: tuple[str, ...], says: str) -> None:
    command = [sys.executable, str(PROGRAMS / f"{program}.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
