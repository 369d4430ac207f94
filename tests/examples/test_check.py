"""The demo's comparisons hold for figures that agree, and say so for those that don't."""

from __future__ import annotations

import dataclasses
import json

import pytest

from document_vlm.check import Measured, compare
from document_vlm.client import BROKEN, HANGING_UP, QUICK, SLOW, TWIN, Outcome

TIMINGS = {"prompt_ms": 500.0, "predicted_ms": 990.0, "prompt_n": 100, "predicted_n": 100}


def answer(**more) -> bytes:
    return (
        b'data: {"text": "a"}\n\ndata: ' + json.dumps({"timings": TIMINGS, **more}).encode() + b"\n\ndata: [DONE]\n\n"
    )


def measured(name: str, outcome: str = "completed", **more) -> Measured:
    figures = {"tpot": 0.0101, "consumer_wait": 0.01, "prefill": 0.502, "error": None, **more}
    return Measured(request_id=name, outcome=outcome, **figures)


OUTCOMES = [
    Outcome("quick", QUICK, status=200, body=answer(fields=[{"name": "date", "correct": False}])),
    Outcome("slow", SLOW, status=200, paused=30.0, body=answer()),
    Outcome("twin", TWIN, status=200, body=answer()),
    Outcome("gone", HANGING_UP, status=200),
    Outcome("broken", BROKEN, status=415),
]
MEASURED = {
    "quick": measured("quick"),
    "slow": measured("slow", consumer_wait=28.5),
    "twin": measured("twin"),
    "gone": measured("gone", "client_disconnected", tpot=None),
    "broken": measured("broken", "error", tpot=None, prefill=None, error="errors.NotAnImage"),
}


def findings(changes=None, errors=1):
    return compare(OUTCOMES, {**MEASURED, **(changes or {})}, errors)


def test_figures_that_agree_hold():
    found = findings()
    assert [finding.text for finding in found if not finding.holds] == []
    assert len(found) == 8


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("slow", {"tpot": 0.0131}, "TPOT: slow readers"),
        ("slow", {"consumer_wait": 26.9}, "consumer wait of slow"),
        ("gone", {"outcome": "completed"}, "hang-ups: 0 of 1"),
        ("broken", {"error": None}, "broken files: 0 of 1"),
    ],
)
def test_a_figure_that_is_off_differs(name, change, said):
    wrong = dataclasses.replace(MEASURED[name], **change)
    (found,) = [finding for finding in findings({name: wrong}) if not finding.holds]
    assert found.text.startswith(said)


@pytest.mark.parametrize(("change", "said"), [({"prefill": 0.506}, "prefill: "), ({"tpot": 0.0104}, "TPOT: +4.00%")])
def test_the_engines_clock_is_compared_at_the_median(change, said):
    wrong = {name: dataclasses.replace(MEASURED[name], **change) for name in ("slow", "twin")}
    (found,) = [finding for finding in findings(wrong) if not finding.holds]
    assert found.text.startswith(said)


def test_a_missing_request_and_a_wrong_count_differ():
    without = {name: found for name, found in MEASURED.items() if name != "quick"}
    texts = [finding.text for finding in compare(OUTCOMES, without, 2) if not finding.holds]
    assert [text.partition(":")[0] for text in texts] == ["requests", "critical-field errors"]
