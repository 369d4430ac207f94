"""Finds secrets in bytes and decoded messages, whole or a prefix of them, in every form that a leak could take."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from google.protobuf.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Secret = str | int | float

PREFIX: Final = 8
"""Characters of a secret of which a leak is one already."""

DIGITS: Final = 11
"""The same for a secret number: telemetry is full of digits, and a shorter run of them comes by chance."""

_HASHES: Final = ("md5", "sha1", "sha256", "sha512", "blake2b")
_HASH_PREFIX: Final = 12
"""Bytes of a digest's form by which it is recognised: hexadecimal ids are everywhere."""

_WINDOW: Final = 8


class Trace(NamedTuple):
    """A secret that was found.

    Attributes:
        secret: Its name.
        form: The form it was in, such as `base64`.
        where: What it was found in.
    """

    secret: str
    form: str
    where: str


class Finder:
    """Looks for many secrets at once, in one pass over what is searched.

    Args:
        secrets: By name. Their first characters are random, or a prefix of them would be found everywhere.

    Raises:
        ValueError: A secret is too short to be told from chance.
    """

    def __init__(self, secrets: Mapping[str, Secret]) -> None:
        self._needles: dict[bytes, list[tuple[bytes, str, str]]] = {}
        for name, secret in secrets.items():
            for form, needle in forms_of(secret):
                self._needles.setdefault(needle[:_WINDOW], []).append((needle, name, form))

    def search(self, haystack: bytes, where: str) -> Iterator[Trace]:
        """Every secret in some bytes, each form of it once."""
        windows = {haystack[at : at + _WINDOW] for at in range(len(haystack) - _WINDOW + 1)}
        for window in windows & self._needles.keys():
            for needle, name, form in self._needles[window]:
                if needle in haystack:
                    yield Trace(name, form, where)

    def search_in(self, tree: object, where: str) -> Iterator[Trace]:
        """Every secret in a protobuf message or in decoded JSON: in its strings, its bytes and its numbers."""
        leaves: dict[bytes, str] = {}
        for path, leaf in leaves_of(tree):
            leaves.setdefault(leaf, path)
        # One search tells whether there is anything; where it is, is asked for what there is.
        found = {(trace.secret, trace.form) for trace in self.search(b"\n".join(leaves), where)}
        if found:
            for leaf, path in leaves.items():
                yield from self.search(leaf, f"{where}: {path}")


def forms_of(secret: Secret) -> Iterator[tuple[str, bytes]]:
    """Each form of a secret's prefix, by name.

    Raises:
        ValueError: The secret is shorter than its prefix is to be.
    """
    if isinstance(secret, str):
        text, whole = secret[:PREFIX], [secret]
        if len(text) < PREFIX:
            raise ValueError(f"a secret has {PREFIX} characters or more, unlike {secret!r}")
    else:
        text, whole = number_text(secret)[:DIGITS], [number_text(secret), f"{secret:,}"]
        if len(text) < DIGITS:
            raise ValueError(f"a secret number has {DIGITS} digits or more, unlike {secret!r}")
        yield "with thousands separated", f"{secret:,}"[: DIGITS + DIGITS // 3].encode()
    seen: set[bytes] = set()
    for form, needle in [*_written(text), *(hashed for each in whole for hashed in _hashed(each))]:
        if needle not in seen:
            seen.add(needle)
            yield form, needle


def number_text(number: float) -> str:
    """A number as people write it, never with an exponent."""
    return f"{number:.2f}" if isinstance(number, float) else str(number)


def leaves_of(tree: object, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Every string, bytes and number in a message or in decoded JSON, keys too, with the way that leads there."""
    if isinstance(tree, Message):
        for field, value in tree.ListFields():
            yield from leaves_of(value, f"{path}.{field.name}")
    elif isinstance(tree, bytes):
        yield path, tree
    elif isinstance(tree, str):
        yield path, tree.encode("utf-8", "surrogatepass")
    elif isinstance(tree, (int, float)):
        if not isinstance(tree, bool) and math.isfinite(tree):
            yield path, number_text(tree).encode()
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves_of(key, f"{path}{{key}}")
            yield from leaves_of(value, f"{path}.{key}")
    elif isinstance(tree, Sequence):  # what protobuf repeats is one, without `__iter__`
        for index, value in enumerate(tree):
            yield from leaves_of(value, f"{path}[{index}]")


def said(traces: Iterable[Trace], limit: int = 40) -> str:
    """Traces for a failure's message: secret, form and place in a line each."""
    lines = sorted({f"  {trace.secret}: as {trace.form} in {trace.where}" for trace in traces})
    return "\n".join(lines[:limit] + ([f"  and {len(lines) - limit} more"] if len(lines) > limit else []))


def _written(text: str) -> Iterator[tuple[str, bytes]]:
    plain = text.encode("utf-8")
    yield "text", plain
    yield "lower case", text.lower().encode()
    yield "upper case", text.upper().encode()
    yield "text in UTF-16 LE", text.encode("utf-16-le")
    yield "text in UTF-16 BE", text.encode("utf-16-be")
    for encoding in ("cp949", "utf-32-le"):
        yield f"text in {encoding}", text.encode(encoding, "replace")
    escaped = "".join(f"\\u{unit:04x}" for unit in _units(text))
    yield "JSON-escaped", _partly(text, escaped, json.dumps(text)[1:-1])
    yield "JSON-escaped", _partly(text, escaped.upper().replace("\\U", "\\u"), json.dumps(text)[1:-1])
    yield "JSON-escaped throughout", escaped.encode()
    yield "JSON-escaped throughout", escaped.upper().replace("\\U", "\\u").encode()
    yield "JSON-escaped twice", json.dumps(json.dumps(text)[1:-1])[1:-1].encode()
    yield "escaped as Python's bytes", repr(plain)[2:-1].encode()
    yield "escaped for XML", text.encode("ascii", "xmlcharrefreplace")
    percent = "".join(f"%{byte:02x}" for byte in plain)
    yield "percent-encoded", quote(text, safe="").encode()
    yield "percent-encoded in lower case", _lower_escapes(quote(text, safe="")).encode()
    yield "percent-encoded throughout", percent.encode()
    yield "percent-encoded throughout", percent.upper().encode()
    yield "hexadecimal", plain.hex().encode()
    yield "hexadecimal", plain.hex().upper().encode()
    yield "reversed", text[::-1].encode()
    for source, encoding in ((plain, "base64"), (text.encode("utf-16-le"), "base64 of UTF-16")):
        for before in range(3):
            standard = _inner_base64(source, before)
            yield f"{encoding}, {before} before", standard
            yield f"{encoding} for URLs, {before} before", standard.translate(bytes.maketrans(b"+/", b"-_"))
    for before in range(5):
        yield f"base32, {before} before", _inner(base64.b32encode, plain, before, 5)


def _partly(text: str, escaped: str, usual: str) -> bytes:
    """A JSON string as it is usual: what is ASCII stays as it is."""
    pieces = [escaped[at : at + 6] for at in range(0, len(escaped), 6)]
    if len(pieces) != len(text):  # beyond the basic plane
        return usual.encode()
    return "".join(p if ord(c) > 126 else json.dumps(c)[1:-1] for c, p in zip(text, pieces, strict=True)).encode()


def _units(text: str) -> Iterator[int]:
    data = text.encode("utf-16-be")
    for at in range(0, len(data), 2):
        yield int.from_bytes(data[at : at + 2], "big")


def _lower_escapes(quoted: str) -> str:
    pieces = quoted.split("%")
    return "%".join([pieces[0], *(piece[:2].lower() + piece[2:] for piece in pieces[1:])])


def _inner_base64(data: bytes, before: int) -> bytes:
    return _inner(base64.b64encode, data, before, 6)


def _inner(encode: Callable[[bytes], bytes], data: bytes, before: int, bits: int) -> bytes:
    """The digits of an encoding that `data` alone decides where `before` bytes stand before it, whatever follows."""
    encoded = encode(b"\0" * before + data)
    first = math.ceil(before * 8 / bits)
    last = (before + len(data)) * 8 // bits
    return encoded[first:last]


def _hashed(whole: str) -> Iterator[tuple[str, bytes]]:
    for name in _HASHES:
        digest = hashlib.new(name, whole.encode(), usedforsecurity=False).digest()
        for form, data in (
            ("hexadecimal", digest.hex().encode()),
            ("hexadecimal", digest.hex().upper().encode()),
            ("base64", base64.b64encode(digest)),
            ("base64 for URLs", base64.urlsafe_b64encode(digest)),
            ("bytes", digest),
        ):
            yield f"{name}, {form}", data[: _HASH_PREFIX + (4 if form == "hexadecimal" else 0)]


def every(found: Iterable[Any]) -> set[str]:
    """Names of the secrets in traces."""
    return {trace.secret for trace in found}
