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
    figures = {"tpot": 0.0101, "consumer_wait": 0.01, "prefill": 0.502, "error": None, "output_tokens": 64, **more}
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
    "gone": measured("gone", "client_disconnected", tpot=None, output_tokens=7),
    "broken": measured("broken", "error", tpot=None, prefill=None, error="errors.NotAnImage"),
}


def findings(changes=None, errors=1, wasted=7):
    return compare(OUTCOMES, {**MEASURED, **(changes or {})}, errors, wasted)


def test_figures_that_agree_hold():
    found = findings()
    assert [finding.text for finding in found if not finding.holds] == []
    assert len(found) == 9


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("slow", {"tpot": 0.0131}, "TPOT: slow readers +29.7%"),
        ("slow", {"consumer_wait": None}, "consumer wait of slow"),
        ("quick", {"tpot": None}, "the engine's timings, prefill or TPOT are missing for quick"),
        ("twin", {"prefill": None}, "the engine's timings, prefill or TPOT are missing for twin"),
        ("slow", {"consumer_wait": 26.9}, "consumer wait of slow"),
        ("gone", {"output_tokens": 8}, "output tokens wasted by hang-ups: the traces hold 8, the metrics 7"),
        ("gone", {"output_tokens": None}, "output tokens wasted by hang-ups: the traces hold 0"),
        ("broken", {"error": None}, "broken files: 0 of 1"),
    ],
)
def test_a_figure_that_is_off_differs(name, change, said):
    wrong = dataclasses.replace(MEASURED[name], **change)
    (found,) = [finding for finding in findings({name: wrong}) if not finding.holds]
    assert found.text.startswith(said)


@pytest.mark.parametrize(
    ("change", "said"), [({"prefill": 0.516}, "prefill: +16.00 ms"), ({"tpot": 0.0104}, "TPOT: +4.00%")]
)
def test_the_engines_clock_is_compared_at_the_median(change, said):
    wrong = {name: dataclasses.replace(MEASURED[name], **change) for name in ("slow", "twin")}
    (found,) = [finding for finding in findings(wrong) if not finding.holds]
    assert found.text.startswith(said)


def test_a_hang_up_with_another_outcome_differs():
    wrong = dataclasses.replace(MEASURED["gone"], outcome="completed")
    (found,) = [finding for finding in findings({"gone": wrong}, wasted=0) if finding.text.startswith("hang-ups")]
    assert not found.holds
    assert "0 of 1" in found.text


def test_hang_ups_that_wasted_nothing_differ():
    wrong = dataclasses.replace(MEASURED["gone"], output_tokens=0)
    (found,) = [finding for finding in findings({"gone": wrong}, wasted=0) if not finding.holds]
    assert found.text == "output tokens wasted by hang-ups: the traces hold 0, the metrics 0"


@pytest.mark.parametrize("name", ["slow", "twin"])
def test_a_slow_reader_or_a_twin_without_a_tpot_differs(name):
    without = dataclasses.replace(MEASURED[name], tpot=None)
    texts = [finding.text for finding in findings({name: without}) if not finding.holds]
    assert "TPOT: 1 slow readers and 1 twins were sent, 0 pairs have it" in texts


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.name)
def test_nothing_holds_without_telemetry(outcome):
    found = compare([outcome], {}, 0, 0)
    assert len([finding for finding in found if not finding.holds]) >= 2, found


def test_an_answer_without_the_engines_timings_differs():
    bare = [dataclasses.replace(o, body=b"") if o.name == "quick" else o for o in OUTCOMES]
    texts = [finding.text for finding in compare(bare, MEASURED, 0, 7) if not finding.holds]
    assert texts == ["the engine's timings, prefill or TPOT are missing for quick"]


def test_an_answer_of_one_token_has_no_tpot():
    one = answer().replace(b'"predicted_n": 100', b'"predicted_n": 1')
    outcomes = [dataclasses.replace(o, body=one) if o.name == "quick" else o for o in OUTCOMES]
    without = dataclasses.replace(MEASURED["quick"], tpot=None)
    found = compare(outcomes, {**MEASURED, "quick": without}, 0, 7)
    assert [finding.text for finding in found if not finding.holds] == []


def test_a_missing_request_and_a_wrong_count_differ():
    without = {name: found for name, found in MEASURED.items() if name != "quick"}
    texts = [finding.text for finding in compare(OUTCOMES, without, 2, 7) if not finding.holds]
    assert [text.partition(" ")[0].strip(":") for text in texts] == ["requests", "the", "critical-field"]
