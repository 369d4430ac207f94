"""What others can reach or read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.pipeline.address import sockets
from otelext.pipeline.finding import Finding, Rule
from otelext.pipeline.yaml_tree import without_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.configuration import Configuration
    from otelext.pipeline.yaml_tree import Item, Place

OPEN: Final = Rule(
    "open-to-all",
    "warning",
    "Listening on all interfaces without asking who sends",
    "Whoever reaches the machine can send telemetry, and fill the queues and backends with it, or read what is served.",
)
SECRET: Final = Rule(
    "plain-secret",
    "warning",
    "A secret in plain text",
    "It is read by whoever reads the file, its history or `otelcol print-config`.",
)
RULES: Final = (OPEN, SECRET)

# Probes have to reach the first from outside.
_ASKED_BY_PROBES: Final = "extension health_check"
_NAMES: Final = re.compile(
    r"(.*[_.-])?(password|passwd|passphrase|secret|client_secret|secret_key|secret_access_key|access_token|auth_token"
    r"|bearer_token|token|api[_-]?key|access_key|license_key|credentials|key_pem|authorization|cookie)",
    re.IGNORECASE,
)
_IN_URL: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[^/@\s:]*:([^/@\s]+)@|\S*[?&](?:password|pwd)=([^\s&]+))", re.IGNORECASE
)
_IN_SETTINGS: Final = re.compile(r"(?:^|[\s;])(?:password|pwd)\s*=\s*()([^\s;]+)", re.IGNORECASE)
_IN_HTPASSWD: Final = re.compile(r"^\s*[^:$\n]+:()(.+)$", re.MULTILINE)
_BY_NAME: Final = {
    "datasource": (_IN_SETTINGS,),
    "dsn": (_IN_SETTINGS,),
    "connection_string": (_IN_SETTINGS,),
    "inline": (_IN_HTPASSWD,),
}
_IN_HEADERS: Final = re.compile(r".*headers::\d+")
# Kubernetes and the Collector name files and settings like secrets.
_NO_SECRETS: Final = {"", "true", "false", "none"}


def check(config: Configuration) -> Iterator[Finding]:
    """Look at what listens, and at values whose names say that they are secret."""
    for socket in sockets(config):
        if socket.address.is_everywhere and not socket.is_guarded and not socket.owner.startswith(_ASKED_BY_PROBES):
            yield Finding(
                OPEN,
                socket.place,
                f"{socket.owner} listens on {socket.address} without asking for credentials",
                ", or ".join((f"127.0.0.1:{socket.address.port}", *socket.guards)),
            )
    for one in config.components:
        for path, place in _secrets(one.config, one.id):
            yield Finding(
                SECRET,
                place,
                f"in the {one.kind} {path} stands in plain text",
                "${env:NAME} without a default, or ${file:PATH}",
            )


def _secrets(item: Item, path: str) -> Iterator[tuple[str, Place]]:
    for key, child in item.items():
        below = f"{path}::{key}"
        if _is_plain(_name(item, key, path), child):
            yield below, child.place
        yield from _secrets(child, below)
        for number, element in enumerate(child.elements()):
            yield from _secrets(element, f"{below}::{number}")


def _name(item: Item, key: str, path: str) -> str:
    """What a value is called: as its key, or as the name or key beside it in a list of headers."""
    beside = item["name"] or item["key"] if key == "value" and _IN_HEADERS.fullmatch(path) else None
    return beside.value if beside is not None and isinstance(beside.value, str) else key


def _is_plain(name: str, item: Item) -> bool:
    if not isinstance(item.value, str | int) or isinstance(item.value, bool):
        return False
    value = without_environment(item.raw)
    for pattern in (_IN_URL, *_BY_NAME.get(name, ())):
        if any("${" not in "".join(found) for found in pattern.findall(value)):
            return True
    if not _NAMES.fullmatch(name) or value.lower() in _NO_SECRETS:
        return False
    # "Bearer ${env:TOKEN}" holds no secret; "${env:TOKEN:-hunter2}" does.
    return "${" not in value and not re.fullmatch(r"(Bearer|Basic)?\s*", value)
