"""The finder finds what is planted, in every form that a leak could take, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.privacy.places import AMOUNT, KOREAN, RESIDENT_NUMBER, TEXT, a_secret
from tests.privacy.traces_of import DIGITS, PREFIX, Finder, every, number_text, said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.privacy.traces_of import Secret


def hashed(name: str, encode: Callable[[bytes], bytes]) -> Callable[[str], bytes]:
    return lambda text: encode(hashlib.new(name, text.encode()).digest())


FORMS: dict[str, Callable[[str], bytes]] = {
    "text": lambda text: text.encode(),
    "lower case": lambda text: text.lower().encode(),
    "upper case": lambda text: text.upper().encode(),
    "UTF-16 LE": lambda text: text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: text.encode("utf-16-be"),
    "JSON": lambda text: json.dumps(text).encode(),
    "JSON, unescaped": lambda text: json.dumps(text, ensure_ascii=False).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)).encode(),
    "JSON, upper case": lambda text: "".join(f"\\u{ord(c):04X}" for c in text).encode(),
    "JSON, escaped throughout": lambda text: "".join(f"\\u{ord(c):04x}" for c in text).encode(),
    "a Python literal of bytes": lambda text: repr(text.encode()).encode(),
    "XML": lambda text: text.encode("ascii", "xmlcharrefreplace"),
    "a URL": lambda text: quote(text).encode(),
    "a form": lambda text: quote_plus(text).encode(),
    "a URL, escaped throughout": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()).encode(),
    "a URL, escaped in lower case": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()).encode(),
    "hexadecimal": lambda text: text.encode().hex().encode(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 after 1 byte": lambda text: base64.b64encode(b"~" + text.encode()),
    "base64 after 2 bytes": lambda text: base64.b64encode(b"~~" + text.encode() + b"?"),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"="),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")),
    "base32": lambda text: base64.b32encode(b"---" + text.encode()),
    **{
        f"{name}, {form}": hashed(name, encode)
        for name in ("md5", "sha1", "sha256", "sha512", "blake2b")
        for form, encode in {
            "hexadecimal": lambda digest: digest.hex().encode(),
            "base64": base64.b64encode,
            "base64 for URLs": base64.urlsafe_b64encode,
            "bytes": bytes,
        }.items()
    },
}
_HASHES = {form for form in FORMS if form.startswith(("md5", "sha", "blake"))}

# Bytes that are part of no secret, as secrets are random: what stands around one.
around = st.binary(max_size=50)
text_kinds = st.sampled_from([TEXT, KOREAN])


@pytest.mark.parametrize("form", FORMS)
@given(kind=text_kinds, before=around, after=around)
def test_a_whole_secret_is_found_in_each_form(form: str, kind: str, before: bytes, after: bytes) -> None:
    secret = str(a_secret(kind))
    planted = before + FORMS[form](secret) + after
    assert every(Finder({"it": secret, "other": a_secret(kind)}).search(planted, "here")) == {"it"}


@pytest.mark.parametrize("form", sorted(FORMS.keys() - _HASHES))
@given(kind=text_kinds, before=around, after=around, cut=st.integers(PREFIX, 12))
def test_a_prefix_of_8_characters_is_found_in_each_form(
    form: str, kind: str, before: bytes, after: bytes, cut: int
) -> None:
    secret = str(a_secret(kind))
    planted = before + FORMS[form](secret[:cut]) + after
    assert every(Finder({"it": secret}).search(planted, "here")) == {"it"}


@given(kind=text_kinds, cut=st.integers(0, PREFIX - 1))
def test_a_shorter_prefix_is_none(kind: str, cut: int) -> None:
    secret = str(a_secret(kind))
    assert not every(Finder({"it": secret}).search(secret[:cut].encode(), "here"))


@pytest.mark.parametrize("kind", [RESIDENT_NUMBER, AMOUNT])
@pytest.mark.parametrize("write", [number_text, "{:,}".format, lambda n: number_text(n)[:DIGITS], lambda n: f"<{n!r}>"])
def test_a_number_is_found_as_people_write_it(kind: str, write: Callable[[Secret], str]) -> None:
    number = a_secret(kind)
    assert every(Finder({"it": number}).search(f"paid {write(number)} at once".encode(), "here")) == {"it"}


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


@given(tree=trees, kind=st.sampled_from([TEXT, KOREAN, RESIDENT_NUMBER, AMOUNT]), depth=st.integers(0, 5))
def test_a_secret_is_found_in_a_message_however_deep(tree: object, kind: str, depth: int) -> None:
    secret = a_secret(kind)
    planted: object = secret
    for level in range(depth):
        planted = [tree, planted] if level % 2 else {"a": tree, "b": planted}
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="x")
    span.events.add(name="y").attributes.add(key="k").value.CopyFrom(any_value([tree, planted]))
    found = list(Finder({"it": secret}).search_in(request, "traces"))
    assert every(found) == {"it"}
    assert all("resource_spans[0].scope_spans[0].spans[0].events[0].attributes[0].value" in t.where for t in found)


@given(tree=trees)
def test_a_message_without_a_secret_holds_none(tree: object) -> None:
    finder = Finder({kind: a_secret(kind) for kind in (TEXT, KOREAN, RESIDENT_NUMBER, AMOUNT)})
    assert not list(finder.search_in(any_value(tree), "there"))
    assert not list(finder.search(any_value(tree).SerializeToString(), "there"))


@given(kind=text_kinds)
def test_a_secret_is_found_where_it_is_a_key(kind: str) -> None:
    secret = str(a_secret(kind))
    finder = Finder({"it": secret})
    assert every(finder.search_in(any_value({secret: 1}), "there")) == {"it"}
    assert every(finder.search_in({"outer": [{f"x.{secret}": None}]}, "there")) == {"it"}


def test_what_is_too_short_to_be_told_from_chance_is_refused() -> None:
    for secret in ("short", 1234567, 12.5):
        with pytest.raises(ValueError, match="or more"):
            Finder({"it": secret})


def test_the_message_says_what_was_found_and_where() -> None:
    secret = "Aq7ZkPp2LmXw"
    found = Finder({"a name": secret}).search_in({"outer": [secret]}, "a line")
    assert said(found) == "  a name: as text in a line: .outer[0]"


def any_value(tree: object) -> AnyValue:
    """Python's as an `AnyValue`."""
    value = AnyValue()
    if isinstance(tree, bool):
        value.bool_value = tree
    elif isinstance(tree, str):
        value.string_value = tree.encode("utf-8", "replace").decode()
    elif isinstance(tree, bytes):
        value.bytes_value = tree
    elif isinstance(tree, int):
        value.int_value = tree
    elif isinstance(tree, float):
        value.double_value = tree
    elif isinstance(tree, list):
        value.array_value.values.extend(any_value(item) for item in tree)
    elif isinstance(tree, dict):
        _fill(value, tree)
    return value


def _fill(value: AnyValue, tree: Mapping[str, object]) -> None:
    value.kvlist_value.SetInParent()
    for key, item in tree.items():
        value.kvlist_value.values.add(key=key.encode("utf-8", "replace").decode()).value.CopyFrom(any_value(item))
