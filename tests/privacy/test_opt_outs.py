"""Each opt-out lets out exactly what it names, says so once at the start, and on every resource."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import pytest

from otelext import semconv
from tests.privacy.places import ALLOWED_KEY, OPENED_BY_AN_ALLOWED_KEY, PLACES
from tests.privacy.running import Left, run
from tests.privacy.traces_of import every, said

if TYPE_CHECKING:
    from pathlib import Path


def assert_exactly(left: Left, expected: set[str]) -> None:
    found = every(left.traces)
    unexpected = [trace for trace in left.traces if trace.secret not in expected]
    assert not unexpected, f"what was not asked for left:\n{said(unexpected)}"
    assert expected == found, f"what was asked for did not leave: {sorted(expected - found)}"


@pytest.mark.parametrize("opt_out", sorted(semconv.CAPTURES))
def test_an_opt_out_opens_what_it_names_and_nothing_else(opt_out: str, tmp_path: Path) -> None:
    left = run(tmp_path, OTELEXT_CAPTURE=opt_out)
    assert_exactly(left, {place.name for place in PLACES if opt_out in place.opened_by})
    receiver = left.receiver
    resources = [span.resource for span in receiver.spans]
    resources += [point.resource for point in receiver.points] + [record.resource for record in receiver.logs]
    assert all(resource.get(semconv.CAPTURE) == [opt_out] for resource in resources)
    (_,) = (record for record in receiver.logs if f"OTELEXT_CAPTURE opens {opt_out}" in record.body)
    (_,) = (line for line in left.lines if f"OTELEXT_CAPTURE opens {opt_out}" in line)


def test_an_allowed_attribute_leaves_and_no_other(tmp_path: Path) -> None:
    left = run(tmp_path, OTELEXT_ALLOW_ATTRIBUTES=ALLOWED_KEY)
    assert_exactly(left, set(OPENED_BY_AN_ALLOWED_KEY))
    assert not any(semconv.CAPTURE in span.resource for span in left.receiver.spans)


def test_without_a_key_a_user_does_not_leave_at_all(tmp_path: Path) -> None:
    left = run(tmp_path, OTELEXT_HASH_KEY="")
    assert_exactly(left, set())
    receiver = left.receiver
    assert not any(semconv.USER_ID in span.attributes for span in receiver.spans)
    assert not any(semconv.USER_ID in record.attributes for record in receiver.logs)
    assert semconv.USER_ID not in "".join(left.lines)


def test_trusted_baggage_leaves_by_the_same_rules(tmp_path: Path, left: Left) -> None:
    trusting = run(tmp_path, OTELEXT_BAGGAGE_TRUST="true")
    assert_exactly(trusting, set())
    assert users_of(trusting) >= {hashed(trusting, "user from outside"), hashed(trusting, "user id")}
    assert users_of(left) == {hashed(left, "user id")}, "nobody trusts it without being told"


def users_of(left: Left) -> set[object]:
    return {span.attributes[semconv.USER_ID] for span in left.receiver.spans if semconv.USER_ID in span.attributes}


def hashed(left: Left, place: str) -> str:
    return hmac.new(str(left.secrets["hash key"]).encode(), str(left.secrets[place]).encode(), "sha256").hexdigest()


def test_nothing_says_that_something_was_opened_where_nothing_is(left: Left) -> None:
    assert not any(semconv.CAPTURE in span.resource for span in left.receiver.spans)
    assert "OTELEXT_CAPTURE" not in left.output
