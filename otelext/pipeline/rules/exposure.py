"""What others can reach or read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.pipeline.address import sockets
from otelext.pipeline.finding import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.configuration import Configuration, Declared
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
    r"|bearer_token|token|api_?key|apikey|access_key|license_key|credentials|key_pem|authorization|cookie)",
    re.IGNORECASE,
)
_WITH_PASSWORD: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s:]*:(?P<password>[^/@\s]+)@", re.IGNORECASE)
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
                f"127.0.0.1:{socket.address.port}, or auth, or tls with client_ca_file",
            )
    for one in config.components:
        for path, place in _secrets(one.config, one.id):
            yield Finding(
                SECRET,
                place,
                f"{_of(one)} {path} stands in plain text",
                "${env:NAME} without a default, or ${file:PATH}",
            )


def _of(one: Declared) -> str:
    return f"in the {one.kind}"


def _secrets(item: Item, path: str) -> Iterator[tuple[str, Place]]:
    for key, child in item.items():
        below = f"{path}::{key}"
        if isinstance(child.value, str | int) and not isinstance(child.value, bool) and _is_plain(key, child):
            yield below, child.place
        yield from _secrets(child, below)
        for number, element in enumerate(child.elements()):
            yield from _secrets(element, f"{below}::{number}")


def _is_plain(key: str, item: Item) -> bool:
    value = str(item.value)
    found = _WITH_PASSWORD.search(value)
    if found is not None and "$" not in found["password"]:
        return True
    if not _NAMES.fullmatch(key) or value.lower() in _NO_SECRETS:
        return False
    # "Bearer ${env:TOKEN}" holds no secret; "${env:TOKEN:-hunter2}" does.
    return "${" not in value and not re.fullmatch(r"(Bearer|Basic)?\s*", value)
