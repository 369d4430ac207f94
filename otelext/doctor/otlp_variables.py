"""The variables of OTLP's exporters, of which each signal may have its own, as those of the SDK read them.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from opentelemetry.util.re import parse_env_headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Protocol: TypeAlias = Literal["http/protobuf", "grpc"]
Compression: TypeAlias = Literal["none", "gzip", "deflate"]

PREFIX: Final = "OTEL_EXPORTER_OTLP_"
USUAL_PORTS: Final[dict[Protocol, int]] = {"http/protobuf": 4318, "grpc": 4317}
DEFAULT_ENDPOINTS: Final[dict[Protocol, str]] = {
    protocol: f"http://localhost:{port}" for protocol, port in USUAL_PORTS.items()
}
COMPRESSIONS: Final[dict[Protocol, tuple[Compression, ...]]] = {
    "http/protobuf": ("none", "gzip", "deflate"),
    "grpc": ("gzip",),
}
"""Values that each kind of exporters takes; without one nothing is compressed."""
# requests lets these go before what a session is given: https://github.com/psf/requests/issues/3829
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def other_protocol(protocol: Protocol) -> Protocol:
    """The one that this one is mixed up with."""
    return "grpc" if protocol == "http/protobuf" else "http/protobuf"


@dataclass(frozen=True)
class Setting:
    """A value and where it is from.

    Attributes:
        variable: The name by which it is set, or by which it would be.
        value: Empty where it isn't set.
        own: Whether the variable is the signal's own.
    """

    variable: str
    value: str
    own: bool


def setting(environ: Mapping[str, str], signal: str, name: str) -> Setting:
    """What holds for a signal: its own variable goes before that of all, and an empty one is not set.

    Args:
        environ: The variables.
        signal: `traces`, `metrics` or `logs`.
        name: The end of the variable's name, such as `HEADERS`.
    """
    own = f"{PREFIX}{signal.upper()}_{name}"
    value = environ.get(own, "").strip()
    if value:
        return Setting(own, value, own=True)
    return Setting(PREFIX + name, environ.get(PREFIX + name, "").strip(), own=False)


def speaks_tls_over_grpc(scheme: str, insecure: str) -> bool:
    """By https; else by `INSECURE` where it is set; else by anything but http, no scheme too."""
    if scheme == "https":
        return True
    return insecure.lower() != "true" if insecure else scheme != "http"


def headers(text: str) -> tuple[tuple[str, str], ...]:
    """Headers as variables hold them: name=value, separated by commas, values URL-encoded.

    Names are in small letters then; what the SDK can't read is left out, as it does.
    """
    with silenced("opentelemetry.util.re"):  # the parser logs what it drops, credentials and all
        return tuple(parse_env_headers(text, liberal=True).items())


def bundle(environ: Mapping[str, str]) -> str | None:
    """The variable by which other authorities go before those that exporters over HTTP are given, None without one."""
    return next((name for name in _BUNDLES if environ.get(name)), None)


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Keep a logger, and those below it, from saying anything."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
