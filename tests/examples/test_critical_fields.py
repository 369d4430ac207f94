from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from document_vlm.critical_fields import AMOUNT, DATE, KCD_CODE, UNKNOWN, compare, find, kind_of
from document_vlm.documents import CLAIM_FORM, KINDS, PRESCRIPTION, RECEIPT


def values(lines: list[str], kind: str) -> dict[str, str | None]:
    return {field.name: field.value for field in find(lines, kind)}


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(["TOTAL", "Total amount", "Amount due:", "T0TAL"]))
def test_an_amount_is_read_with_and_without_separators(amount, label):
    for shown in (f"{amount:,}", str(amount)):
        assert values([f"{label} KRW {shown}"], RECEIPT)[AMOUNT] == str(amount)


@given(st.dates(min_value=datetime.date(1000, 1, 1)), st.sampled_from("-."))
def test_a_date_becomes_iso_8601(date, separator):
    shown = date.isoformat().replace("-", separator)
    assert values([f"Date: {shown}"], RECEIPT)[DATE] == date.isoformat()


@pytest.mark.parametrize("shown", ["2023-02-30", "2023-13-01", "2023-1O-01", "2023:10.18", "2022.01,17", "", "soon"])
def test_what_is_no_date_has_no_value(shown):
    assert values([f"Date {shown}"], RECEIPT)[DATE] is None


@pytest.mark.parametrize("shown", ["KRW 152.000", "KRW 1O2,000", "KRW 12,34", "KRW", "KRW 1,2345"])
def test_what_is_no_amount_has_no_value(shown):
    assert values([f"TOTAL {shown}"], RECEIPT)[AMOUNT] is None


@pytest.mark.parametrize(("shown", "value"), [("J20.9", "J20.9"), ("I10", "I10"), ("J 20.9", "J20.9")])
def test_a_kcd_code_is_read(shown, value):
    assert values([f"KCD code: {shown}"], PRESCRIPTION)[KCD_CODE] == value


@pytest.mark.parametrize("shown", ["120.9", "J2O.9", "j20.9", "J20.", "1.23.8", ""])
def test_what_is_no_kcd_code_has_no_value(shown):
    assert values([f"KCD code: {shown}"], PRESCRIPTION)[KCD_CODE] is None


def test_the_amount_is_the_labelled_one_and_no_other():
    lines = ["Ward fee 85,200", "Tests 10,800", "Totalamount KRW 152,000", "Enclosed: receipts"]
    assert values(lines, CLAIM_FORM)[AMOUNT] == "152000"


def test_a_field_that_is_not_there_is_found_without_a_value():
    (amount, date) = find([], RECEIPT)
    assert (amount.text, amount.value, date.text, date.value) == ("", None, "", None)


@pytest.mark.parametrize(
    ("title", "kind"), [("RECEIPT", KINDS[0]), ("CLAIMFORM", KINDS[1]), ("PRESCRlPTION", KINDS[2])]
)
def test_the_kind_follows_from_the_title(title, kind):
    assert kind_of(["", title, "Patient 0042"]) == kind


def test_a_page_without_a_known_title_has_no_critical_fields():
    assert kind_of(["Menu", "Soup 4,000"]) == UNKNOWN
    assert find(["Date 2024-01-01"], UNKNOWN) == ()


def test_compare_calls_a_wrong_and_a_missing_field_errors():
    found = find(["TOTAL KRW 10,000", "Date 2024-01-01"], RECEIPT)
    truth = {AMOUNT: "10000", DATE: "2024-01-07", KCD_CODE: "J20.9"}
    assert compare(found, truth) == {AMOUNT: True, DATE: False, KCD_CODE: False}
