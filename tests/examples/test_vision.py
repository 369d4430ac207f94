from __future__ import annotations

import numpy as np
import pytest

from document_vlm import critical_fields
from document_vlm.documents import samples
from document_vlm.images import decode, prepare


def printed(name: str, value: str) -> set[str]:
    """How a field's true value stands on a page, without spaces."""
    if name == critical_fields.AMOUNT:
        return {f"{int(value):,}"}
    return {value, value.replace("-", ".")} if name == critical_fields.DATE else {value}


@pytest.fixture(scope="module")
def read(vision):
    return [(path, truth, vision.read(prepare(decode(path.read_bytes(), 10**7)))) for path, truth in samples()]


def test_every_sample_is_recognised_as_its_kind(read):
    for path, truth, recognition in read:
        assert critical_fields.kind_of(recognition.lines) == truth.kind, path.name
        assert 0.5 < recognition.confidence <= 1


def test_the_errors_are_those_of_an_independent_comparison(read):
    ours, independent = {}, {}
    for path, truth, recognition in read:
        found = critical_fields.find(recognition.lines, critical_fields.kind_of(recognition.lines))
        ours[path.name] = {name for name, right in critical_fields.compare(found, truth.fields).items() if not right}
        squeezed = recognition.text.replace(" ", "")
        independent[path.name] = {
            name for name, value in truth.fields.items() if not any(shown in squeezed for shown in printed(name, value))
        }
    assert ours == independent
    # Poor scans are really misread, and good ones are not.
    assert 0.1 <= sum(map(bool, ours.values())) / len(ours) <= 0.4


def test_an_empty_page_holds_nothing(vision):
    recognition = vision.read(np.full((200, 400, 3), 255, dtype=np.uint8))
    assert (recognition.text, recognition.confidence) == ("", None)


def test_pieces_of_one_row_are_joined_from_left_to_right_on_a_turned_page(read):
    path, _, recognition = read[1]
    assert "Date of treatment 2022-10-28" in recognition.lines, path.name
    assert recognition.lines[0] == "CLAIM FORM"
