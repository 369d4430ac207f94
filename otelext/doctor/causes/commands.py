"""Commands that change where and how a service sends."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from otelext.doctor.endpoint import Endpoint


def with_address(endpoint: Endpoint, base: str) -> str:
    """Send to another base address, by whatever the present one was read from."""
    if endpoint.source == "--endpoint":
        return f"otelext doctor --endpoint {base}"
    own = endpoint.source.endswith(f"_{endpoint.signal.upper()}_ENDPOINT")
    if not own:
        return f"export OTEL_EXPORTER_OTLP_ENDPOINT={base}"
    # Over HTTP a signal's own variable holds the whole address.
    path = urlsplit(endpoint.url).path if endpoint.protocol == "http/protobuf" else ""
    return f"export {endpoint.source}={base}{path}"


def with_setting(endpoint: Endpoint, name: str, value: str, base: str | None = None) -> str:
    """Change another setting of the exporters', and the base address with it."""
    if endpoint.source == "--endpoint":
        moved = base or endpoint.base
        return f"otelext doctor --endpoint {moved} --{name.lower()} {value}"
    setting = f"OTEL_EXPORTER_OTLP_{name}={value}"
    return f"{with_address(endpoint, base)} {setting}" if base else f"export {setting}"
