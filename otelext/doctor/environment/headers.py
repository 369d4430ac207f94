"""Headers of exports: what the SDK drops or sends otherwise than it is written, and tokens that are none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.doctor.finding import Finding
from otelext.doctor.otlp_variables import headers
from otelext.doctor.shown import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.environment.exports import Export

CHECK: Final = "environment.headers"
_AUTHORIZATION: Final = "authorization"
_NAME: Final = re.compile(r"[!#-'*+\-.0-9A-Z^-z|~]+")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_SCHEMES: Final = re.compile(
    r"(bearer|basic|digest|apikey|api-token|token|splunk|negotiate|aws4-hmac-sha256)\b", re.IGNORECASE
)
_BARE_SCHEME: Final = re.compile(r"(bearer|basic)\s*", re.IGNORECASE)
_HOW: Final = (
    "Names and values are URL-encoded (%20 for a space, %2C for a comma, %22 for a quote), separated by commas."
)
_BEARER: Final = "Authorization=Bearer%20TOKEN"
_TOKEN_FILES: Final = ("OTELEXT_COLLECTOR_TOKEN_FILE", "OTELEXT_COLLECTOR_GATEWAY_TOKEN_FILE")


def examine(export: Export) -> Iterator[Finding]:
    """What is wrong with one exporter's headers. Their values are never shown."""
    given = export.setting("HEADERS")
    sent: dict[str, str] = {}
    for part in given.value.split(","):
        text = part.strip()
        if not text:
            continue
        parsed = dict(headers(text))
        name = text.partition("=")[0].strip()
        called = repr(name.lower()) if "=" in text and _NAME.fullmatch(name) else f"a part of {len(text)} characters"
        if not parsed:
            yield Finding(
                CHECK,
                "error",
                f"{given.variable} holds {called} that is not sent: it is no name=value, or holds a character that has to"
                " be encoded",
                _HOW,
                f"export {given.variable}={_BEARER}, or python -c 'import urllib.parse; "
                "print(urllib.parse.quote(input()))' to encode a value",
            )
            continue
        sent.update(parsed)
        if " " in text.partition("=")[2].strip() and _ENCODED.search(text):
            yield Finding(
                CHECK,
                "warning",
                f"{given.variable}: the value of {called} holds a space and a %, and is sent as it stands",
                "The SDK decodes only values that are encoded throughout; with a space in them it does not, so that %XX"
                " arrives as three characters.",
                f"write %20 for each space in {given.variable}",
            )
    yield from _authorization(given.variable, sent)
    yield from _missing(export, given.variable, sent)


def _authorization(variable: str, sent: dict[str, str]) -> Iterator[Finding]:
    value = sent.get(_AUTHORIZATION)
    if value is None:
        return
    if not value or _BARE_SCHEME.fullmatch(value):
        yield Finding(
            CHECK,
            "error",
            f"{variable} holds {_AUTHORIZATION} without a token",
            "The variable that it was made of was probably empty.",
            f"export {variable}={_BEARER}",
        )
    elif not _SCHEMES.match(value):
        yield Finding(
            CHECK,
            "warning",
            f"{variable} holds {_AUTHORIZATION}={HIDDEN} without a scheme such as Bearer",
            "A receiver that asks for a bearer token answers 401 to the token alone.",
            f"export {variable}={_BEARER}",
        )


def _missing(export: Export, variable: str, sent: dict[str, str]) -> Iterator[Finding]:
    asked = next((name for name in _TOKEN_FILES if export.settings.is_set(name)), None)
    if asked is None or _AUTHORIZATION in sent:
        return
    yield Finding(
        CHECK,
        "warning",
        f"{variable} shows no token, and the Collector of this environment asks for one ({asked} is set)",
        "It answers 401 to whoever shows none, and what was sent is lost.",
        f"export {variable}={_BEARER}",
    )
