"""Ports: used twice, of the wrong protocol, and those by which a Collector sends to itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.pipeline.address import OTLP_EXPORTERS, sockets, targets
from otelext.pipeline.finding import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.address import Socket, Target
    from otelext.pipeline.configuration import Configuration, Declared

TWICE: Final = Rule(
    "port-twice",
    "error",
    "A port used twice",
    "The second to listen finds the address in use, and the Collector ends.",
)
MIXED_UP: Final = Rule(
    "port-of-other-protocol",
    "warning",
    "A port of OTLP's other protocol",
    "By convention 4317 speaks gRPC and 4318 HTTP; the other one's answer is no more than a closed connection.",
)
SCHEME: Final = Rule(
    "endpoint-form",
    "error",
    "An endpoint in the other protocol's form",
    "otlp_http takes a URL and adds /v1/traces itself; otlp_grpc takes host:port. Everything else goes nowhere.",
)
LOOP: Final = Rule(
    "sends-to-itself",
    "error",
    "An exporter that points at the Collector's own receiver",
    "Everything goes round for ever, and grows until memory is full.",
)
RULES: Final = (TWICE, MIXED_UP, SCHEME, LOOP)

_OTHER: Final = {("grpc", 4318): 4317, ("http", 4317): 4318}
# With a scheme, or a reference or blank that may hold one.
_URL: Final = re.compile(r"https?://.*|\$\{.*|<.*", re.IGNORECASE)
_GRPC_PATH: Final = re.compile(r"(?:https?://)?(?P<authority>[^/$]*:\d+)/.*", re.IGNORECASE)
_NAMES: Final = {"grpc": "gRPC", "http": "HTTP"}


def check(config: Configuration) -> Iterator[Finding]:
    """Look at what listens and at what is sent to."""
    listening = list(sockets(config))
    for number, socket in enumerate(listening):
        for earlier in listening[:number]:
            if socket.transport == earlier.transport and socket.address.meets(earlier.address):
                yield Finding(
                    TWICE,
                    socket.place,
                    f"{socket.owner} listens on port {socket.address.port}, as {earlier.owner} does",
                    "another port for one of them",
                )
        other = _OTHER.get((socket.protocol, socket.address.port))
        if other:
            yield Finding(MIXED_UP, socket.place, f"{socket.owner} listens on {socket.address.port}", f"port {other}")
    for target in targets(config):
        yield from _target(config, target, listening)
    for one in config.running:
        if one.kind == "exporter" and one.type in OTLP_EXPORTERS:
            yield from _form(one)


def _form(one: Declared) -> Iterator[Finding]:
    for key, item in one.config.items():
        if not key.endswith("endpoint") or not isinstance(item.value, str) or not item.value:
            continue
        where, text = f"{key} of the {one}", item.value.strip()
        if OTLP_EXPORTERS[one.type] == "http":
            bare = text.partition("://")[2] or text
            if not _URL.fullmatch(text):
                yield Finding(SCHEME, item.place, f"{where} is no URL", f"http://{bare} or https://{bare}")
        elif with_path := _GRPC_PATH.fullmatch(text):
            yield Finding(SCHEME, item.place, f"{where} has a path", with_path["authority"])


def _target(config: Configuration, target: Target, listening: list[Socket]) -> Iterator[Finding]:
    where = f"{target.key} of the {target.exporter}"
    other = _OTHER.get((target.protocol, target.address.port))
    if other:
        yield Finding(
            MIXED_UP,
            target.place,
            f"{where} is port {target.address.port}, which speaks {_NAMES['http' if target.protocol == 'grpc' else 'grpc']}",
            f"port {other}",
        )
    if (
        target.protocol == "http"
        and target.address.scheme
        and target.key == "endpoint"
        and target.address.path.rstrip("/").endswith(("/v1/traces", "/v1/metrics", "/v1/logs"))
    ):
        yield Finding(
            SCHEME,
            target.place,
            f"{where} ends in {target.address.path}, to which the exporter adds the signal's path once more",
            "the same without it, or traces_endpoint, metrics_endpoint, logs_endpoint",
        )
    if not (target.address.is_loopback or target.address.is_everywhere):
        return
    for socket in listening:
        if socket.protocol != target.protocol or not socket.address.meets(target.address):
            continue
        receiver = socket.owner.split()[1]
        for entered in config.used_by("receiver", receiver):
            onward = config.reached_from(entered)
            if any(
                left in onward
                for left in config.used_by("exporter", target.exporter.id)
                if left.signal == entered.signal
            ):
                yield Finding(
                    LOOP, target.place, f"{where} is where {socket.owner} listens", "the address of the next hop"
                )
                break
