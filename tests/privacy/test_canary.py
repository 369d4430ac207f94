"""Secrets in every place where a user could put one, in a service that `opentelemetry-instrument` runs: none leaves."""

from __future__ import annotations

import pytest

from tests.privacy.places import PLACES
from tests.privacy.running import Left
from tests.privacy.traces_of import said


def test_every_place_was_gone_to(left: Left) -> None:
    by_service = {place.name for place in PLACES if place.by == "service"}
    assert set(left.told) == by_service
    assert {name: error for name, error in left.told.items() if error} == {}
    assert len(PLACES) >= 25


@pytest.mark.parametrize("place", sorted(place.name for place in PLACES))
def test_no_secret_leaves(left: Left, place: str) -> None:
    found = [trace for trace in left.traces if trace.secret == place]
    assert not found, f"the secret of {place!r} left:\n{said(found)}"
