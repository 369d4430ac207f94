"""Which entries of baggage become attributes, of which spans, and that both lanes agree."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach, get_current, set_value
from opentelemetry.sdk.trace import SpanProcessor

import otelext
from otelext import semconv
from otelext.capture.baggage import BAGGAGE, MAX_ENTRIES, MAX_LENGTH, NONE, from_outside, read
from otelext.capture.binding import current_binding
from otelext.capture.context import REQUEST_KEY
from otelext.capture.request import Request
from otelext.testing import capture

TENANT, USER, REQUEST = semconv.TENANT_ID, semconv.USER_ID, semconv.REQUEST_ID


class StartListener(SpanProcessor):
    """Overrides `on_start`, so that ordinary SDK spans are made."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing."""


LANES = pytest.mark.parametrize("processors", [[], [StartListener()]], ids=["light", "sdk"])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(BAGGAGE, "count", lambda kind, number: found.append((kind, number)))
    return found


def holding(entries: dict[str, object], context: Context | None = None) -> Context:
    context = Context() if context is None else context
    for key, value in entries.items():
        context = baggage.set_baggage(key, value, context)
    return context


def another(text: str) -> str:
    """An equal string that is another object, as one that was read from a header or a database is."""
    return "".join(list(text))


def test_the_named_entries_are_read_and_no_other() -> None:
    context = holding({TENANT: "clinic-a", USER: "u-1", "diagnosis": "secret"})
    assert read(context) == {TENANT: "clinic-a", USER: "u-1"}


def test_a_context_without_baggage_gives_the_same_nothing() -> None:
    assert read(Context()) is NONE
    assert read(baggage.clear(Context())) == {}


def test_what_is_no_text_or_too_long_is_left_out_and_counted(counted: list[tuple[str, int]]) -> None:
    found = read(holding({TENANT: "a" * (MAX_LENGTH + 1), USER: 7, REQUEST: "b" * MAX_LENGTH}))
    assert found == {REQUEST: "b" * MAX_LENGTH}
    assert counted == [(semconv.REDACTED_BAGGAGE, 2)]


def test_an_entry_from_outside_is_ignored_until_the_service_sets_its_own(counted: list[tuple[str, int]]) -> None:
    context = from_outside(holding({TENANT: "clinic-a"}))
    assert read(context) == {}
    assert counted == [(semconv.REDACTED_BAGGAGE, 1)]
    assert read(baggage.set_baggage(USER, "u-1", context)) == {USER: "u-1"}
    assert read(baggage.set_baggage(TENANT, another("clinic-a"), context)) == {TENANT: "clinic-a"}
    assert baggage.get_all(context) == {TENANT: "clinic-a"}, "propagation is untouched"


def test_an_entry_from_outside_is_used_where_it_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BAGGAGE, "trust", True)
    context = holding({TENANT: "clinic-a"})
    assert read(from_outside(context)) == read(context, outside=True) == {TENANT: "clinic-a"}


def test_entries_that_were_there_before_stay_the_services_own() -> None:
    before = holding({TENANT: "clinic-a"})
    after = from_outside(baggage.set_baggage(USER, "u-1", before), baggage.get_all(before))
    assert read(after) == {TENANT: "clinic-a"}
    again = from_outside(baggage.set_baggage(TENANT, "clinic-b", after), baggage.get_all(after))
    assert read(again) == {}, "and what came by another message is known beside it"


def test_the_id_of_the_request_goes_before_that_of_baggage() -> None:
    context = set_value(REQUEST_KEY, Request(0, "of-the-middleware"), holding({REQUEST: "of-baggage"}))
    assert read(context) == {REQUEST: "of-the-middleware"}
    assert read(set_value(REQUEST_KEY, Request(0), holding({REQUEST: "of-baggage"}))) == {REQUEST: "of-baggage"}


@given(
    st.lists(st.text(min_size=1), unique=True, max_size=2 * MAX_ENTRIES),
    st.dictionaries(st.text(min_size=1), st.one_of(st.text(max_size=2 * MAX_LENGTH), st.integers(), st.binary())),
    st.booleans(),
)
def test_never_more_than_the_bounds(keys: list[str], entries: dict[str, object], outside: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BAGGAGE, "keys", tuple(keys))
        found = read(holding({**entries, **{key: key * MAX_LENGTH for key in keys[::2]}}), outside=outside)
    assert len(found) <= (0 if outside else MAX_ENTRIES)
    assert found.keys() <= set(keys)
    assert all(type(value) is str and len(value) <= MAX_LENGTH for value in found.values())


@LANES
def test_spans_of_an_inference_carry_the_entries(processors: list[SpanProcessor]) -> None:
    before = attach(holding({TENANT: "clinic-a", USER: "u-1", "diagnosis": "secret"}, get_current()))
    try:
        with capture(span_processors=processors) as captured:
            assert current_binding().light is not bool(processors)
            with otelext.inference("chat", model="m"), otelext.stage("prefill"):
                pass
            with otelext.stage("postprocess"):
                pass
    finally:
        detach(before)
    for span in captured.spans():
        assert span.attributes is not None
        assert (span.attributes[TENANT], span.attributes[USER]) == ("clinic-a", "u-1"), span.name
        assert "diagnosis" not in span.attributes
    assert len(captured.spans()) == 3
    (inference,) = captured.inferences()
    assert inference.baggage == {TENANT: "clinic-a", USER: "u-1"}


@LANES
def test_the_requests_id_is_on_the_span_whatever_baggage_says(processors: list[SpanProcessor]) -> None:
    context = set_value(REQUEST_KEY, Request(0, "of-the-middleware"), holding({REQUEST: "of-baggage"}))
    before = attach(context)
    try:
        with capture(span_processors=processors) as captured, otelext.inference("chat"), otelext.stage("prefill"):
            pass
    finally:
        detach(before)
    assert {(span.attributes or {})[REQUEST] for span in captured.spans()} == {"of-the-middleware"}


@LANES
def test_without_baggage_no_span_has_any(processors: list[SpanProcessor]) -> None:
    with capture(span_processors=processors) as captured, otelext.inference("chat"), otelext.stage("prefill"):
        pass
    assert not any({TENANT, USER, REQUEST} & (span.attributes or {}).keys() for span in captured.spans())


def test_capture_does_not_load_the_api_of_baggage() -> None:
    import subprocess
    import sys

    program = (
        "import sys, otelext\nwith otelext.inference('chat'): pass\nassert 'opentelemetry.baggage' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert importlib.import_module("opentelemetry.baggage") is baggage
