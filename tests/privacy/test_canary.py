"""Secrets in every place where a user could put one, in a service that `opentelemetry-instrument` runs: none leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.privacy.places import PLACES
from tests.privacy.running import Left, ReceiverOverGrpc, run
from tests.privacy.traces_of import said

if TYPE_CHECKING:
    from pathlib import Path


def test_every_place_was_gone_to(left: Left) -> None:
    by_service = {place.name for place in PLACES if place.by == "service"}
    assert set(left.told) == by_service
    assert {name: error for name, error in left.told.items() if error} == {}
    assert len(PLACES) >= 25


@pytest.mark.parametrize("place", sorted(place.name for place in PLACES))
def test_no_secret_leaves(left: Left, place: str) -> None:
    found = [trace for trace in left.traces if trace.secret == place]
    assert not found, f"the secret of {place!r} left:\n{said(found)}"


def test_no_secret_leaves_over_grpc(tmp_path: Path) -> None:
    left = run(tmp_path, receiver=ReceiverOverGrpc, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert left.receiver.spans
    assert left.receiver.points
    assert left.receiver.logs
    assert not left.traces, f"secrets left:\n{said(left.traces)}"


def test_no_secret_leaves_on_standard_error_where_there_is_no_log_file(tmp_path: Path) -> None:
    left = run(tmp_path, OTELEXT_LOG_FILE="")
    assert not left.file
    assert left.records
    assert not left.traces, f"secrets left:\n{said(left.traces)}"
