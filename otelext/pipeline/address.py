"""Where a component listens or sends to, read from its configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelext.pipeline import schema
from otelext.pipeline.yaml_tree import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.configuration import Configuration, Declared
    from otelext.pipeline.yaml_tree import Item, Place

_EVERYWHERE: Final = {"", "0.0.0.0", "::", "0", "*"}  # noqa: S104  # what is looked for
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|::1", re.IGNORECASE)
# A host may hold references, which hold colons: ${env:NAME}.
_AUTHORITY: Final = re.compile(
    r"(?:[^@/]*@)?(?P<host>\[[^\]]*\]|(?:\$\{[^}]*\}|[^:/])*)(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)?"
)
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """A host and a port; `host` is as written, and may hold a reference that nobody here can resolve."""

    host: str
    port: int
    scheme: str = ""
    path: str = ""

    @property
    def is_everywhere(self) -> bool:
        """Whether it stands for all interfaces."""
        return self.host in _EVERYWHERE

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return _LOOPBACK.fullmatch(self.host) is not None

    def meets(self, other: Address) -> bool:
        """Whether both can't listen on one machine, or one is reached where the other listens."""
        if self.port != other.port or self.port == 0:
            return False
        if self.is_everywhere or other.is_everywhere or (self.is_loopback and other.is_loopback):
            return True
        return self.host == other.host

    def __str__(self) -> str:
        return (
            f"[{self.host}]:{self.port}"
            if self.host.count(":") > 1 and "$" not in self.host
            else f"{self.host}:{self.port}"
        )


def address(text: object) -> Address | None:
    """Read `host:port` or a URL; None for anything else, such as a socket's file or a port that is not known."""
    if not isinstance(text, str):
        return None
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "", scheme
    scheme = scheme.lower()
    if scheme in {"unix", "npipe"}:
        return None
    match = _AUTHORITY.fullmatch(rest.removeprefix("/"))  # dns:///host:port
    if match is None or (not separator and match["path"]):
        return None
    port = int(match["port"]) if match["port"] else _PORTS.get(scheme)
    return None if port is None else Address(match["host"].strip("[]"), port, scheme, match["path"] or "")


@dataclass(frozen=True)
class Socket:
    """One address that a running component listens on."""

    owner: str
    address: Address
    place: Place
    transport: str
    protocol: str
    """`grpc`, `http`, or empty where it is neither of OTLP's."""
    is_guarded: bool
    """Whether it asks for credentials or a client's certificate."""
    guards: tuple[str, ...] = ()
    """What would make it ask."""


# Type: path of the address, address without one where that is known, transport. What asks others is not here.
_SERVERS: Final[dict[tuple[str, str], tuple[tuple[str, str, str], ...]]] = {
    ("receiver", "otlp"): (
        ("protocols.grpc.endpoint", "localhost:4317", "tcp"),
        ("protocols.http.endpoint", "localhost:4318", "tcp"),
    ),
    ("receiver", "jaeger"): (
        ("protocols.grpc.endpoint", "localhost:14250", "tcp"),
        ("protocols.thrift_http.endpoint", "localhost:14268", "tcp"),
        ("protocols.thrift_compact.endpoint", "localhost:6831", "udp"),
        ("protocols.thrift_binary.endpoint", "localhost:6832", "udp"),
    ),
    ("receiver", "zipkin"): (("endpoint", "localhost:9411", "tcp"),),
    ("receiver", "fluent_forward"): (("endpoint", "", "tcp"),),
    ("receiver", "statsd"): (("endpoint", "localhost:8125", "udp"),),
    ("receiver", "carbon"): (("endpoint", "localhost:2003", "tcp"),),
    ("receiver", "collectd"): (("endpoint", "localhost:8081", "tcp"),),
    ("receiver", "influxdb"): (("endpoint", "localhost:8086", "tcp"),),
    ("receiver", "splunk_hec"): (("endpoint", "localhost:8088", "tcp"),),
    ("receiver", "signalfx"): (("endpoint", "localhost:9943", "tcp"),),
    ("receiver", "datadog"): (("endpoint", "localhost:8126", "tcp"),),
    ("receiver", "loki"): (
        ("protocols.grpc.endpoint", "localhost:3600", "tcp"),
        ("protocols.http.endpoint", "localhost:3500", "tcp"),
    ),
    ("receiver", "tcp_log"): (("listen_address", "", "tcp"),),
    ("receiver", "udp_log"): (("listen_address", "", "udp"),),
    ("receiver", "syslog"): (("tcp.listen_address", "", "tcp"), ("udp.listen_address", "", "udp")),
    ("receiver", "awsfirehose"): (("endpoint", "", "tcp"),),
    ("receiver", "awsxray"): (("endpoint", "", "udp"), ("proxy_server.endpoint", "", "tcp")),
    ("receiver", "cloudflare"): (("logs.endpoint", "", "tcp"),),
    ("receiver", "envoy_als"): (("endpoint", "", "tcp"),),
    ("receiver", "envoyals"): (("endpoint", "", "tcp"),),
    ("receiver", "faro"): (("endpoint", "", "tcp"),),
    ("receiver", "libhoney"): (("http.endpoint", "", "tcp"), ("grpc.endpoint", "", "tcp")),
    ("receiver", "otelarrow"): (("protocols.grpc.endpoint", "", "tcp"),),
    ("receiver", "prometheus_remote_write"): (("endpoint", "", "tcp"),),
    ("receiver", "skywalking"): (("protocols.grpc.endpoint", "", "tcp"), ("protocols.http.endpoint", "", "tcp")),
    ("receiver", "stef"): (("endpoint", "", "tcp"),),
    ("receiver", "wavefront"): (("endpoint", "", "tcp"),),
    ("receiver", "webhook_event"): (("endpoint", "", "tcp"),),
    ("receiver", "webhookevent"): (("endpoint", "", "tcp"),),
    ("extension", "http_forwarder"): (("ingress.endpoint", "", "tcp"),),
    ("extension", "jaegerremotesampling"): (("http.endpoint", "", "tcp"), ("grpc.endpoint", "", "tcp")),
    ("extension", "health_check"): (("endpoint", "localhost:13133", "tcp"),),
    ("extension", "pprof"): (("endpoint", "localhost:1777", "tcp"),),
    ("extension", "zpages"): (("endpoint", "localhost:55679", "tcp"),),
    ("exporter", "prometheus"): (("endpoint", "", "tcp"),),
}
_OTLP_PROTOCOLS: Final = {"grpc": "grpc", "http": "http"}
# What cloudflare, awsfirehose and webhook_event ask for is a secret of their own.
_OTHER_GUARDS: Final = (("tls", "client_ca_pem"), ("secret",), ("access_key",), ("required_header",))
_GUARDS: Final[dict[tuple[str, ...], str]] = {("auth",): "auth", ("tls", "client_ca_file"): "tls with client_ca_file"}


def sockets(config: Configuration) -> Iterator[Socket]:
    """What a configuration's own telemetry and its running components listen on."""
    yield from _telemetry(config)
    for one in config.running:
        known = schema.component(one.kind, one.type)
        for path, default, transport in _SERVERS.get((one.kind, known.type if known else one.type), ()):
            yield from _socket(one, path.split("."), default, transport)


def _socket(one: Declared, path: list[str], default: str, transport: str) -> Iterator[Socket]:
    section: Item | None = one.config
    place = one.place
    for key in path[:-1]:
        if section is None or not isinstance(section.value, dict) or key not in section.value:
            return  # this protocol is not spoken
        place = section.place_of(key)
        section = section[key]
    given = section[path[-1]] if section is not None else None
    if given is not None and isinstance(given.value, Unknown):
        return
    found = address(given.value if given is not None and given.value is not None else default)
    if found is None:
        return
    guarded = section is not None and any(
        (guard := section.at(*keys)) is not None and guard.value is not None for keys in (*_GUARDS, *_OTHER_GUARDS)
    )
    component = schema.component(one.kind, one.type)
    known = component is not None and component.keys is not None
    guards = tuple(
        text for keys, text in _GUARDS.items() if component is None or not known or component.has(*path[:-1], *keys)
    )
    protocol = _OTLP_PROTOCOLS.get(path[-2], "") if one.type == "otlp" else ""
    name = f"{one} ({protocol})" if protocol else str(one)
    yield Socket(name, found, given.place if given is not None else place, transport, protocol, guarded, guards)


def _telemetry(config: Configuration) -> Iterator[Socket]:
    metrics = config.root.at("service", "telemetry", "metrics")
    if metrics is not None and metrics["level"] is not None and str(metrics.at("level").value).lower() == "none":  # type: ignore[union-attr]  # just looked at
        return
    readers = metrics["readers"] if metrics is not None else None
    place = metrics.place if metrics is not None else config.root.place
    if readers is None:
        yield Socket("the Collector's own metrics", Address("localhost", 8888), place, "tcp", "", is_guarded=False)
        return
    for reader in readers.elements():
        exporter = reader.at("pull", "exporter", "prometheus")
        if exporter is None:
            continue
        host, port = exporter["host"], exporter["port"]
        if port is not None and isinstance(port.value, int):
            name = host.value if host is not None and isinstance(host.value, str) else "localhost"
            yield Socket(
                "the Collector's own metrics", Address(name, port.value), port.place, "tcp", "", is_guarded=False
            )


@dataclass(frozen=True)
class Target:
    """One address that a running exporter sends to."""

    exporter: Declared
    key: str
    address: Address
    place: Place
    protocol: str
    """`grpc` or `http`, or empty where it is neither of OTLP's."""


OTLP_EXPORTERS: Final = {"otlp": "grpc", "otlp_grpc": "grpc", "otlphttp": "http", "otlp_http": "http"}


def targets(config: Configuration) -> Iterator[Target]:
    """Where the running exporters send to, as far as the configuration says it."""
    for one in config.running:
        if one.kind != "exporter" or (one.kind, one.type) in _SERVERS:
            continue
        protocol = OTLP_EXPORTERS.get(one.type, "")
        for key, item in one.config.items():
            if key == "endpoint" or key.endswith("_endpoint"):
                found = address(item.value)
                if found is not None:
                    yield Target(one, key, found, item.place, protocol)
        if one.type == "loadbalancing":
            hosts = one.config.at("resolver", "static", "hostnames")
            for host in hosts.elements() if hosts is not None else []:
                found = address(host.value if ":" in str(host.value) else f"{host.value}:4317")
                if found is not None:
                    yield Target(one, "hostnames", found, host.place, "grpc")
