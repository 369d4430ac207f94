"""The fields on which money and treatment depend: amount, date, KCD code; found, checked, compared."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .documents import CLAIM_FORM, PRESCRIPTION, RECEIPT

AMOUNT: Final = "amount"
DATE: Final = "date"
KCD_CODE: Final = "kcd_code"
UNKNOWN: Final = "unknown"

EXPECTED: Final[Mapping[str, tuple[str, ...]]] = {
    RECEIPT: (AMOUNT, DATE),
    CLAIM_FORM: (AMOUNT, DATE, KCD_CODE),
    PRESCRIPTION: (DATE, KCD_CODE),
    UNKNOWN: (),
}
"""The critical fields that a document of each kind must have."""

_TITLES = {"receipt": RECEIPT, "claimform": CLAIM_FORM, "prescription": PRESCRIPTION}
_LABELS = {
    AMOUNT: ("total", "totalamount", "amountdue"),
    DATE: ("date", "dateoftreatment"),
    KCD_CODE: ("kcdcode",),
}
_LIKENESS: Final = 0.75  # a label with one letter in four misread is still that label


@dataclass(frozen=True)
class Field:
    """One critical field as it was read.

    Attributes:
        name: `amount`, `date` or `kcd_code`.
        text: What stood behind the label; empty when the label was not found.
        value: Normalised (digits, ISO 8601, the code), or None when the text breaks the field's format.
    """

    name: str
    text: str
    value: str | None


def kind_of(lines: Sequence[str]) -> str:
    """Kind of a document by the title in its first rows, or `unknown`."""
    for line in lines[:3]:
        squeezed = _squeezed(line)
        for title, kind in _TITLES.items():
            if _likeness(squeezed, title) >= _LIKENESS:
                return kind
    return UNKNOWN


def find(lines: Sequence[str], kind: str) -> tuple[Field, ...]:
    """The critical fields that a document of this kind must have, each found or not."""
    return tuple(_field(name, lines) for name in EXPECTED[kind])


def compare(found: Sequence[Field], truth: Mapping[str, str]) -> dict[str, bool]:
    """Which of the true fields were read correctly; a field that was not found is an error too."""
    values = {field.name: field.value for field in found}
    return {name: values.get(name) == value for name, value in truth.items()}


def _field(name: str, lines: Sequence[str]) -> Field:
    best, text = (0.0, 0), ""
    for line in lines:
        for label in _LABELS[name]:
            end = _end_of(line, len(label))
            likeness = _likeness(_squeezed(line[:end]), label)
            if likeness >= _LIKENESS and (likeness, len(label)) > best:
                best, text = (likeness, len(label)), line[end:].lstrip(" :;.,").rstrip()
    return Field(name, text, _value(name, text))


def _value(name: str, text: str) -> str | None:
    squeezed = text.replace(" ", "")
    if name == AMOUNT:
        match = re.fullmatch(r"[^\d]*(\d{1,3}(?:,\d{3})*|\d+)", squeezed)
        return match[1].replace(",", "") if match else None
    if name == DATE:
        match = re.fullmatch(r"(\d{4})([-.])(\d{2})\2(\d{2})", squeezed)
        if match is None:
            return None
        try:
            return datetime.date(int(match[1]), int(match[3]), int(match[4])).isoformat()
        except ValueError:
            return None
    # KCD follows ICD-10: a letter, two digits, and a point with one or two more where the category is divided.
    return squeezed if re.fullmatch(r"[A-Z]\d{2}(?:\.\d{1,2})?", squeezed) else None


def _end_of(line: str, letters: int) -> int:
    """Where the first `letters` characters of a line end, spaces not counted."""
    seen = 0
    for position, character in enumerate(line):
        seen += not character.isspace()
        if seen == letters:
            return position + 1
    return len(line)


def _squeezed(line: str) -> str:
    return "".join(line.split()).lower()


def _likeness(left: str, right: str) -> float:
    return difflib.SequenceMatcher(None, left, right).ratio()
