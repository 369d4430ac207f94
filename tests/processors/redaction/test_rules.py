"""Which attributes leave, and how."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext import semconv
from otelext.processors import allowed
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.rules import ABSENT, MAX_LENGTH, Rules

KIND = semconv.REDACTED_SPAN_ATTRIBUTE
RULES = Rules()
NAMES = sorted(allowed.names())


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("secret")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("secret")

    __hash__ = object.__hash__


SECRET = "s3cret-of-a-patient"
scalars = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.none())
nested = st.recursive(
    st.one_of(scalars, st.just(SECRET), st.builds(Hostile)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


def test_what_is_on_the_list_passes_untouched() -> None:
    given = {
        "http.route": "/receipts/{id}",
        "http.response.status_code": 200,
        "gen_ai.response.finish_reasons": ("stop",),
    }
    before = COUNTS.of(KIND)
    assert RULES.attributes(given, KIND) is given
    assert COUNTS.of(KIND) == before


def test_what_is_not_is_left_out_counted_and_the_original_stays() -> None:
    given = {"http.route": "/", "prompt": SECRET, "url.full": f"http://x/?q={SECRET}"}
    before = COUNTS.of(KIND)
    assert RULES.attributes(MappingProxyType(given), KIND) == {"http.route": "/"}
    assert COUNTS.of(KIND) == before + 2
    assert len(given) == 3


@given(st.dictionaries(st.text(max_size=20), nested, max_size=6))
def test_nothing_under_an_unknown_name_leaves(attributes: dict[str, Any]) -> None:
    leaving = RULES.attributes(attributes, KIND)
    assert set(leaving) <= set(NAMES)


@given(st.sampled_from(NAMES), nested)
def test_no_map_no_bytes_and_no_object_leaves_under_a_known_name(name: str, value: Any) -> None:
    def plain(leaving: Any) -> bool:
        if isinstance(leaving, (tuple, list)):
            return all(map(plain, leaving))
        return leaving is None or type(leaving) in {str, int, float, bool}

    assert all(plain(leaving) for leaving in RULES.attributes({name: value}, KIND).values())


@pytest.mark.parametrize(
    ("key", "value", "leaves"),
    [
        ("gen_ai.request.model", "m" * MAX_LENGTH, "m" * MAX_LENGTH),
        ("gen_ai.request.model", "m" * (MAX_LENGTH + 1), "[redacted]"),
        ("gen_ai.request.model", b"bytes", "[redacted]"),
        ("gen_ai.request.model", {"a": SECRET}, "[redacted]"),
        ("gen_ai.response.finish_reasons", ["stop", {"a": SECRET}], ("stop", "[redacted]")),
        ("http.request.method", "GET", "GET"),
        ("http.request.method", f"GET {SECRET}", "_OTHER"),
        ("http.request.method", "KIM", "_OTHER"),
        ("db.operation.name", "SELECT receipts", "SELECT"),
        ("db.operation.name", SECRET, "[redacted]"),
        ("db.namespace", "claims", "claims"),
        ("db.namespace", "/srv/patients/k1m.db", "[redacted]"),
        ("pool.name", "postgresql://db.example:5432/claims", "postgresql://db.example:5432/claims"),
        ("pool.name", "sqlite:////srv/patients/k1m.db", "[redacted]"),
        ("code.file.path", __file__, str(Path(__file__).relative_to(Path(__file__).parents[3]))),
        ("error.type", "app.errors.Bad", "app.errors.Bad"),
        ("error.type", f"Bad: {SECRET}", "[redacted]"),
        ("request.id", "0123456789abcdef", "0123456789abcdef"),
        ("request.id", "short", ABSENT),
        ("request.id", "0123456789abcdef; patient=7", ABSENT),
        ("request.id", 17, ABSENT),
        ("tenant.id", "ward-7", "ward-7"),
        ("tenant.id", SECRET, "other"),
        ("tenant.id", 4711, "other"),
        ("user.id", SECRET, ABSENT),
        ("user.id", 9001011234567, ABSENT),
        ("db.operation.name", 4711, "[redacted]"),
        ("error.type", 503, 503),
    ],
)
def test_a_value_has_the_form_of_what_its_name_stands_for(key: str, value: Any, leaves: Any) -> None:
    rules = Rules(tenants=frozenset({"ward-7"}))
    assert rules.value(key, value) == leaves
    assert rules.attributes({key: value}, KIND) == ({} if leaves is ABSENT else {key: leaves})


def test_a_user_leaves_as_a_keyed_hash() -> None:
    expected = hmac.new(b"key", b"kim", hashlib.sha256).hexdigest()
    assert Rules(hash_key=b"key").attributes({"user.id": "kim"}, KIND) == {"user.id": expected}
    number = hmac.new(b"key", b"9001011234567", hashlib.sha256).hexdigest()
    assert Rules(hash_key=b"key").attributes({"user.id": 9001011234567}, KIND) == {"user.id": number}


@pytest.mark.parametrize("name", ["user.id", "tenant.id", "request.id", "http.request.method", "db.operation.name"])
def test_a_number_has_no_such_form_either(name: str) -> None:
    assert RULES.attributes({name: 9001011234567}, KIND).get(name) in {None, "other", "_OTHER", "[redacted]"}


def test_a_user_who_is_a_number_is_hashed_too() -> None:
    expected = hmac.new(b"key", b"17", hashlib.sha256).hexdigest()
    assert Rules(hash_key=b"key").attributes({"user.id": 17}, KIND) == {"user.id": expected}


def test_the_key_is_not_shown() -> None:
    assert SECRET not in repr(Rules(hash_key=SECRET.encode()))


def test_what_the_user_names_leaves_as_it_is() -> None:
    given = {"url.path": "/a/b", "form": {"field": [1, b"x"]}, "user.id": "kim"}
    assert Rules(allow=frozenset(given)).attributes(given, KIND) is given


@pytest.mark.parametrize(
    ("capture", "kind"),
    [
        ("span_attributes", semconv.REDACTED_SPAN_ATTRIBUTE),
        ("span_attributes", semconv.REDACTED_EVENT_ATTRIBUTE),
        ("span_attributes", semconv.REDACTED_LINK_ATTRIBUTE),
        ("log_attributes", semconv.REDACTED_LOG_ATTRIBUTE),
        ("metric_attributes", semconv.REDACTED_METRIC_ATTRIBUTE),
        ("resource_attributes", semconv.REDACTED_RESOURCE_ATTRIBUTE),
    ],
)
def test_each_opt_out_opens_its_own_kind_alone(capture: str, kind: str) -> None:
    rules = Rules(capture=frozenset({capture}))
    opened = {k for k in semconv.REDACTED_KINDS if rules.attributes({"prompt": SECRET}, k)}
    assert kind in opened
    for other in semconv.CAPTURES:
        if other != capture:
            assert not Rules(capture=frozenset({other})).attributes({"prompt": SECRET}, kind)


def test_every_name_left_out_with_a_reason_is_left_out() -> None:
    listed = {name.strip() for names in allowed.LEFT_OUT for name in names.split(",")}
    assert not {name for name in listed if "*" not in name} & allowed.names()


def test_no_name_is_listed_twice() -> None:
    names = [name for section in allowed.NAMED.values() for name in section]
    assert sorted(names) == sorted(set(names))
