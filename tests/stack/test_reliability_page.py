"""docs/reliability.md says what the tests of this folder hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict

import pytest

from tests.stack.reliability import BEGIN, END, FAULTS, PAGE, Fault, Figures, record, render, table

ROW = re.compile(r"^\| (?P<fault>[^|]+) \| (?P<signal>[^|]+) \|(?P<numbers>(?: [\d,]+ \|){5})$", re.MULTILINE)


def test_the_page_has_every_fault_and_adds_up() -> None:
    figures = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    losses = {fault.name: fault.losses for fault in FAULTS}
    rows = list(ROW.finditer(figures))
    assert {row["fault"] for row in rows} == set(losses)
    for row in rows:
        sent, stored, refused, lost, _ = (
            int(number.replace(",", "")) for number in row["numbers"].strip(" |").split(" | ")
        )
        assert sent == stored + refused + lost
        assert not lost or losses[row["fault"]]


def test_the_page_names_every_loss() -> None:
    by_design = PAGE.read_text().partition("## Lost by design")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| ([^|]+) \|", by_design, re.MULTILINE)) - {"name", "---"}
    assert {loss for fault in FAULTS for loss in fault.losses} <= named


def test_a_loss_that_is_not_named_fails() -> None:
    nameless = next(fault for fault in FAULTS if not fault.losses)
    with pytest.raises(AssertionError, match="lost"):
        record(nameless, Figures("spans", 3, 1, 1, 1, 0))
    with pytest.raises(AssertionError):
        record(nameless, Figures("spans", 3, 1, 1, 0, 0))
    with pytest.raises(AssertionError):
        record(Fault("unheard of"), Figures("spans", 1, 1, 0, 0, 0))


def test_the_table_takes_the_last_run_of_each_and_wants_all() -> None:
    def line(fault: Fault, sent: int) -> str:
        return json.dumps({"fault": fault.name, **asdict(Figures("spans", sent, sent, 0, 0, 0))})

    lines = [line(fault, sent) for sent in (1000, 2000) for fault in FAULTS]
    found = Counter(row["fault"] for row in ROW.finditer(table(lines)))
    assert found == Counter(fault.name for fault in FAULTS)
    assert "2,000" in table(lines)
    assert "1,000" not in table(lines)
    with pytest.raises(AssertionError, match="not all"):
        table(lines[1 : len(FAULTS)])


def test_rendering_again_changes_nothing() -> None:
    page = f"before\n{BEGIN}old\n{END}after\n"
    once = render(page, "| new |\n")
    assert once == f"before\n{BEGIN}| new |\n{END}after\n"
    assert render(once, "| new |\n") == once
