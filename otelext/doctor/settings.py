"""What the doctor is told: where the backends are, with which credentials, what to leave out and how long to wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from otelext.doctor.endpoint import AddressError
from otelext.doctor.otlp_variables import USUAL_PORTS, headers
from otelext.doctor.shown import address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.otlp_variables import Protocol

Product: TypeAlias = Literal["jaeger", "tempo", "prometheus", "mimir", "loki"]

PREFIX: Final = "OTELEXT_DOCTOR_"
PRODUCTS: Final[tuple[Product, ...]] = ("jaeger", "tempo", "prometheus", "mimir", "loki")
DEFAULTS: Final[dict[Product, str]] = {
    "jaeger": "http://localhost:16686",
    "prometheus": "http://localhost:9090",
    "loki": "http://localhost:3100",
}
"""Those of docker-compose.otel.yml."""
INSTEAD: Final[dict[Product, Product]] = {"tempo": "jaeger", "mimir": "prometheus"}
"""Of two that keep the same, which one is looked for where the other isn't named."""
SKIPPABLE: Final = ("environment", "clock", "traces", "metrics", "logs", "exemplars", *PRODUCTS)
TIMEOUT_S: Final = 15.0
"""Longer than what waits on purpose: a gateway decides on a trace 10 s after its root span."""

VARIABLES: Final[dict[str, str]] = {
    **{f"{PREFIX}{product.upper()}": f"address of {product.capitalize()}'s API" for product in PRODUCTS},
    **{
        f"{PREFIX}{product.upper()}_HEADERS": f"headers for {product.capitalize()} alone, as below"
        for product in PRODUCTS
    },
    f"{PREFIX}HEADERS": "headers for all of these, name=value separated by commas, values URL-encoded",
    f"{PREFIX}CERTIFICATE": "file of the authorities that the backends' certificates are checked against",
    f"{PREFIX}CLIENT_CERTIFICATE": "file of the certificate that is shown to the backends",
    f"{PREFIX}CLIENT_KEY": "file of its key",
}
"""Every variable of the doctor's own, with its meaning."""


@dataclass(frozen=True)
class Access:
    """Where one backend's API is, and what it is shown.

    Attributes:
        product: What is expected there.
        url: Its address, without a slash at the end. May hold a user and a password.
        headers: With what may be credentials.
        certificate: File of the authorities that are trusted, None for the usual ones.
        client_certificate: File of the certificate that is shown, None for none.
        client_key: File of its key.
        given: Whether anybody named the address, or it is the default.
    """

    product: Product
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    given: bool = False

    @property
    def shown(self) -> str:
        """The address for people, without user, password and query."""
        return address(self.url)

    @property
    def parts(self) -> SplitResult:
        """The address, taken apart; with what may be credentials."""
        return urlsplit(self.url)

    @property
    def option(self) -> str:
        """The option by which another address is given."""
        return f"--{self.product}"


@dataclass(frozen=True)
class Settings:
    """What one examination goes by.

    Attributes:
        environ: The service's environment.
        backends: Each backend that is asked.
        endpoint: Base address of the receiver, None for the environment's.
        protocol: Of OTLP, None for the environment's.
        skip: Names out of `SKIPPABLE` that are left out.
        timeout: Seconds that a canary may take until it is visible.
        known_ports: Ports on which a receiver of OTLP may listen instead, where the right one is not.
    """

    environ: Mapping[str, str] = field(repr=False)
    backends: Mapping[Product, Access]
    endpoint: str | None = None
    protocol: Protocol | None = None
    skip: frozenset[str] = frozenset()
    timeout: float = TIMEOUT_S
    known_ports: tuple[int, ...] = tuple(USUAL_PORTS.values())


def known_ports(environ: Mapping[str, str]) -> tuple[int, ...]:
    """Ports that receivers of OTLP have by default, or by the variables of docker-compose.otel.yml."""
    variables = {"http/protobuf": "OTLP_HTTP_PORT", "grpc": "OTLP_GRPC_PORT"}
    texts = {port: environ.get(variables[protocol], "") for protocol, port in USUAL_PORTS.items()}
    return tuple(int(text) if text.isdecimal() and 0 < int(text) < 2**16 else usual for usual, text in texts.items())


def accesses(
    environ: Mapping[str, str], given: Mapping[Product, str | None], skip: frozenset[str] = frozenset()
) -> dict[Product, Access]:
    """The backends to ask: those that are named, and the default ones for what no named one keeps.

    Args:
        environ: For the variables of `VARIABLES`.
        given: Addresses from options, which go before.
        skip: Backends that are left out, by whichever of their two names.

    Raises:
        AddressError: Two backends are named for the same, or an address is none.
    """
    named = {product: given.get(product) or _variable(environ, product.upper()) for product in PRODUCTS}
    for new, old in INSTEAD.items():
        if given.get(new) and given.get(old):
            raise AddressError(f"--{new} and --{old} exclude each other: name the one that this pipeline writes to")
        if given.get(old):
            named[new] = None
    found: dict[Product, Access] = {}
    for product in PRODUCTS:
        replaced = next((new for new, old in INSTEAD.items() if old == product and named[new]), None)
        url = named[product] or DEFAULTS.get(product)
        if url is None or replaced or _names(product) & skip:
            continue
        found[product] = Access(
            product=product,
            url=_checked(url, product),
            headers=headers(_variable(environ, "HEADERS") or "")
            + headers(_variable(environ, f"{product.upper()}_HEADERS") or ""),
            certificate=_variable(environ, "CERTIFICATE"),
            client_certificate=_variable(environ, "CLIENT_CERTIFICATE"),
            client_key=_variable(environ, "CLIENT_KEY"),
            given=bool(named[product]),
        )
    return found


def _names(product: Product) -> frozenset[Product]:
    """A product, and the one that stands in its place."""
    pairs = (pair for pair in INSTEAD.items() if product in pair)
    return frozenset({product, *next(pairs, ())})


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(PREFIX + name, "").strip() or None


def _checked(url: str, product: Product) -> str:
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:  # brackets of IPv6 that don't match
        right = False
    if not right:
        # Without the text itself, which may hold a password.
        raise AddressError(
            f"the address of {product.capitalize()} (--{product} or {PREFIX}{product.upper()}) is no URL:"
            " it is like http://localhost:9090"
        )
    return url.rstrip("/")
