"""The long run finds what grows, and is as sure of it as it says."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Walk = Callable[[random.Random], list[float]]

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "long_run.py"
SAMPLES = 251
DRIFT = 400.0


@pytest.fixture
def slope(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[float]], Any]:
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    import long_run_slopes

    return long_run_slopes.slope


def steps_at_random_moments(chosen: random.Random) -> list[float]:
    """As of memory whose highest level ever is what is seen."""
    level, walk = 0.0, []
    for _ in range(SAMPLES):
        if chosen.random() < 0.04:
            level += 25 * DRIFT
        walk.append(level)
    return walk


def around_a_line(chosen: random.Random) -> list[float]:
    """What fluctuates, neighbouring samples much alike."""
    off, walk = 0.0, []
    for n in range(SAMPLES):
        off = 0.95 * off + chosen.gauss(0, 20_000)
        walk.append(DRIFT * n + off)
    return walk


@pytest.mark.parametrize("walk", [steps_at_random_moments, around_a_line])
def test_the_interval_holds_the_drift_as_often_as_it_says(slope: Callable[[Sequence[float]], Any], walk: Walk) -> None:
    chosen = random.Random(7)
    found = [slope(walk(chosen)) for _ in range(1_000)]
    assert sum(one.low <= DRIFT <= one.high for one in found) >= 930


def test_a_straight_line_is_certain(slope: Callable[[Sequence[float]], Any]) -> None:
    found = slope([DRIFT * n for n in range(SAMPLES)])
    assert (found.low, found.mean, found.high) == pytest.approx((DRIFT, DRIFT, DRIFT))


def run(tmp_path: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    written = tmp_path / "found.json"
    command = [sys.executable, str(PROGRAM), "--inferences", "16000", "--json", str(written), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stderr, json.loads(written.read_text())


def test_objects_that_are_kept_on_purpose_are_found_and_no_others(tmp_path: Path) -> None:
    """In a short run, which is too short for what is resident: that varies by what was needed for the first time."""
    _, said, without = run(tmp_path)
    assert "objects" not in said
    assert without["slopes"]["objects"]["high"] < 5
    status, said, found = run(tmp_path, "--leak", "2000")
    assert status == 3
    assert "objects is not flat" in said
    assert found["slopes"]["objects"]["low"] > 5
    assert not found["wrong"]


def test_bytes_that_are_kept_on_purpose_are_found(tmp_path: Path) -> None:
    """In pieces too large for Python's own allocator."""
    status, said, found = run(tmp_path, "--leak", "100000")
    assert status == 3
    assert "resident is not flat" in said
    assert found["slopes"]["resident"]["low"] > 1_000
