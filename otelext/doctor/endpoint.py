"""Where a service sends each signal, as the SDK's exporters read it from the environment.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/, and where the exporters of opentelemetry-python differ from
it, as these do: the doctor has to fail where the service would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from otelext.doctor import otlp_variables
from otelext.doctor.otlp_variables import COMPRESSIONS, DEFAULT_ENDPOINTS, PREFIX, headers, speaks_tls_over_grpc
from otelext.doctor.shown import address as shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.otlp_variables import Compression, Protocol

Signal: TypeAlias = Literal["traces", "metrics", "logs"]

SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics", "logs")
_DEFAULT_TIMEOUT_S: Final = 10.0
_WELL_KNOWN_PORTS: Final = {"http": 80, "https": 443}


class AddressError(ValueError):
    """An address can't be used; the message says whose and what would be right, without what may be credentials."""


@dataclass(frozen=True)
class Endpoint:
    """Where one signal goes, and with what.

    Attributes:
        signal: What goes there.
        protocol: Of OTLP.
        url: What is sent to: over HTTP the whole address, over gRPC host and port. May hold credentials.
        secure: Whether TLS is spoken.
        headers: Names in lower case, with what may be credentials.
        certificate: File of the authorities that are trusted, None for the usual ones.
        client_certificate: File of the certificate that is shown, None for none.
        client_key: File of its key, None where it is in the same file.
        compression: Of requests.
        timeout: Seconds that one export may take.
        source: What the address was read from: a variable, an option, or `default`.
        written_scheme: The scheme that it was written with there, empty without one.
    """

    signal: Signal
    protocol: Protocol
    url: str = field(repr=False)
    secure: bool
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    certificate: str | None
    client_certificate: str | None
    client_key: str | None
    compression: Compression
    timeout: float
    source: str
    written_scheme: str

    @property
    def host(self) -> str:
        """Name or address of the receiver."""
        return self.parts.hostname or "localhost"

    @property
    def port(self) -> int:
        """Port of the receiver."""
        try:
            port = self.parts.port
        except ValueError:  # no number, or none of a port
            port = None
        return port or (443 if self.protocol == "grpc" else _WELL_KNOWN_PORTS.get(self.parts.scheme, 80))

    @property
    def base(self) -> str:
        """Scheme, host and port, without what may be credentials."""
        return address(self.scheme, self.host, self.port)

    @property
    def scheme(self) -> str:
        """`https` where TLS is spoken, else `http`."""
        return "https" if self.secure else "http"

    @property
    def shown(self) -> str:
        """The address for people, without what may be credentials."""
        return shown(f"{self.base}{self.parts.path}") if self.protocol == "http/protobuf" else self.base

    @property
    def authorized(self) -> bool:
        """Whether the sender shows credentials in a header."""
        return any(name == "authorization" for name, _ in self.headers)

    @property
    def parts(self) -> SplitResult:
        """The address, taken apart; with what may be credentials."""
        return urlsplit(self.url if "://" in self.url else f"//{self.url}")


def address(scheme: str, host: str, port: int) -> str:
    """A URL of these, brackets around an address of IPv6."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def endpoints(
    environ: Mapping[str, str], *, endpoint: str | None = None, protocol: Protocol | None = None
) -> dict[Signal, Endpoint]:
    """Where each signal goes.

    Args:
        environ: The service's environment.
        endpoint: A base address that goes before the environment's.
        protocol: A protocol that goes before the environment's.

    Raises:
        AddressError: An address has no host, or a scheme other than http and https.
    """
    return {signal: _endpoint(environ, signal, endpoint, protocol) for signal in SIGNALS}


def not_exported(environ: Mapping[str, str]) -> dict[Signal, str]:
    """Signals that a service does not send by OTLP, and why: its variables name other exporters, or none."""
    found: dict[Signal, str] = {}
    for signal in SIGNALS:
        named = _exporters(environ, signal)
        if named and not any(name.startswith("otlp") for name in named):
            found[signal] = f"{signal} do not leave by OTLP: OTEL_{signal.upper()}_EXPORTER={','.join(named)}"
    return found


def _endpoint(
    environ: Mapping[str, str], signal: Signal, given: str | None, given_protocol: Protocol | None
) -> Endpoint:
    def setting(name: str) -> str | None:
        return otlp_variables.setting(environ, signal, name).value or None

    protocol = given_protocol or _protocol(_exporters(environ, signal), setting("PROTOCOL"))
    own_variable, shared_variable = f"{PREFIX}{signal.upper()}_ENDPOINT", f"{PREFIX}ENDPOINT"
    own = None if given else environ.get(own_variable, "").strip() or None
    base = given or environ.get(shared_variable, "").strip() or None
    source = "--endpoint" if given else own_variable if own else shared_variable if base else "default"
    wrong = next(filter(None, map(_wrong, (own, base))), None)
    if wrong is not None:
        raise AddressError(f"the address of {source} {wrong}; one is {DEFAULT_ENDPOINTS['http/protobuf']}")
    written = own or base or DEFAULT_ENDPOINTS[protocol]
    if protocol == "grpc":
        parts = urlsplit(written)
        url, secure = parts.netloc or written, speaks_tls_over_grpc(parts.scheme, setting("INSECURE") or "")
    else:
        url = own or f"{written.removesuffix('/')}/v1/{signal}"
        secure = urlsplit(url).scheme == "https"
        if urlsplit(url).scheme not in _WELL_KNOWN_PORTS:
            raise AddressError(
                f"the address of {source} begins with neither http:// nor https://, which exporters over HTTP need"
            )
    if protocol == "grpc":
        certificate, client_certificate, client_key = _files_of_grpc(environ, signal)
    else:
        certificate, client_certificate, client_key = map(setting, ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"))
    return Endpoint(
        signal=signal,
        protocol=protocol,
        url=url,
        secure=secure,
        headers=headers(setting("HEADERS") or ""),
        certificate=certificate,
        client_certificate=client_certificate,
        client_key=client_key,
        compression=_compression(protocol, setting("COMPRESSION")),
        timeout=_seconds(setting("TIMEOUT")),
        source=source,
        written_scheme=written.partition("://")[0].lower() if "://" in written else "",
    )


def _protocol(exporters: list[str], text: str | None) -> Protocol:
    """By the exporter's own name, which may hold it, else by the variable."""
    if "otlp" not in exporters:
        if "otlp_proto_grpc" in exporters:
            return "grpc"
        if "otlp_proto_http" in exporters:
            return "http/protobuf"
    return "grpc" if (text or "").lower() == "grpc" else "http/protobuf"


def _files_of_grpc(environ: Mapping[str, str], signal: Signal) -> tuple[str | None, str | None, str | None]:
    """Authorities, certificate and key: all three of the signal or all three of all signals, none without the first."""
    own = f"{PREFIX}{signal.upper()}_"
    is_own = environ.get(f"{own}CERTIFICATE") and environ.get(f"{own}INSECURE", "").lower() != "true"
    of = own if is_own else PREFIX
    authorities = environ.get(f"{of}CERTIFICATE") or None
    if authorities is None:
        return None, None, None
    return authorities, environ.get(f"{of}CLIENT_CERTIFICATE") or None, environ.get(f"{of}CLIENT_KEY") or None


def _wrong(address: str | None) -> str | None:
    """What is wrong with an address, whatever speaks there; None where it is none, or right."""
    if address is None:
        return None
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
    except ValueError:  # brackets of IPv6 that don't match
        return "is malformed"
    return None if parts.hostname else "names no host"


def _exporters(environ: Mapping[str, str], signal: Signal) -> list[str]:
    listed = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "")
    return [name for name in (part.strip() for part in listed.split(",")) if name]


def _compression(protocol: Protocol, text: str | None) -> Compression:
    lowered = (text or "").lower()
    for known in COMPRESSIONS[protocol]:
        if known == lowered:
            return known
    return "none"


def _seconds(text: str | None) -> float:
    try:
        found = float(text or "")
    except ValueError:
        return _DEFAULT_TIMEOUT_S
    return found if 0 < found < float("inf") else _DEFAULT_TIMEOUT_S
