"""What the environment makes of each OTLP exporter: transport, address and the variables that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from otelext.distro.exporters import PROTOCOLS, SIGNALS, entry_point_name, named
from otelext.doctor.otlp_variables import DEFAULT_ENDPOINTS, PREFIX, Protocol, Setting, setting, speaks_tls_over_grpc
from otelext.doctor.shown import address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.environment.start import Settings

_TRANSPORTS: Final[dict[str, Protocol]] = {"otlp_proto_grpc": "grpc", "otlp_proto_http": "http/protobuf"}


@dataclass(frozen=True)
class Export:
    """One signal's OTLP exporter, as the SDK would make it.

    Attributes:
        signal: `traces`, `metrics` or `logs`.
        transport: What it speaks.
        endpoint: What it is told, the transport's default where nothing is.
    """

    signal: str
    transport: Protocol
    endpoint: Setting
    settings: Settings

    def setting(self, name: str) -> Setting:
        """What holds of a variable that each signal may have of its own.

        Args:
            name: Its end, such as `HEADERS`.
        """
        return setting(self.settings.all(), self.signal, name)

    @property
    def url(self) -> str:
        """Where it sends to; over HTTP with the path that the SDK appends to the address of all signals."""
        if self.transport == "grpc" or self.endpoint.own:
            return self.endpoint.value
        return f"{self.endpoint.value.removesuffix('/')}/v1/{self.signal}"

    @property
    def parts(self) -> SplitResult | None:
        """Where it sends to, taken apart, None where that is no address."""
        return _parts(self.url)

    @property
    def is_address(self) -> bool:
        """Whether what it is told has a host, and a port that is one."""
        given = _parts(self.endpoint.value)
        return given is not None and bool(given.hostname)

    @property
    def port(self) -> int | None:
        """The port that it connects to; for HTTP that of the scheme where the address has none."""
        parts = self.parts
        if parts is None:
            return None
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)

    @property
    def scheme(self) -> str:
        """In small letters, empty where the address has none."""
        return self.url.partition("://")[0].lower() if "://" in self.url else ""

    @property
    def uses_tls(self) -> bool:
        """Whether it speaks TLS: https over HTTP; over gRPC `INSECURE` counts too, and what has no scheme is TLS."""
        if self.transport == "http/protobuf" or self.scheme == "https":
            return self.scheme == "https"
        return speaks_tls_over_grpc(self.scheme, self.insecure.value)

    @property
    def insecure(self) -> Setting:
        """What is said of plain text, which exporters over gRPC alone read."""
        return self.setting("INSECURE")

    def __str__(self) -> str:
        return f"{self.signal} by {self.transport} to {address(self.url)}"


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url if "://" in url or url.startswith("//") else f"//{url}")
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def exports(settings: Settings) -> Iterator[Export]:
    """Every OTLP exporter that the environment asks for and that the SDK can make."""
    for exporters, protocol, _ in SIGNALS:
        signal = exporters.removeprefix("OTEL_").removesuffix("_EXPORTER").lower()
        given = settings.get(protocol) or settings.get(PREFIX + "PROTOCOL")
        for name in named(exporters, settings.all()):
            transport = _TRANSPORTS.get(entry_point_name(name, protocol, settings.all()))
            if transport is None or (name == "otlp" and given and given not in PROTOCOLS):
                continue
            endpoint = setting(settings.all(), signal, "ENDPOINT")
            if not endpoint.value:
                endpoint = Setting(endpoint.variable, DEFAULT_ENDPOINTS[transport], own=False)
            yield Export(signal, transport, endpoint, settings)


def protocol_variable(settings: Settings, signal: str) -> Setting:
    """The protocol that holds for a signal."""
    return setting(settings.all(), signal, "PROTOCOL")
