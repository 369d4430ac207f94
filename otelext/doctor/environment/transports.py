"""Values of exporters over gRPC, which reads some that others read otherwise: empty ones, and `none`.

Everywhere else in OpenTelemetry an empty variable is one that is not set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.doctor.finding import Finding
from otelext.doctor.otlp_variables import COMPRESSIONS, PREFIX
from otelext.doctor.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.environment.exports import Export

CHECK: Final = "environment.value"
_NO_EXPORTER: Final = (
    "Over gRPC the exporter can't be made then: nothing of its signal is exported, nor of those set up after it."
)
_EMPTY: Final = {
    "TIMEOUT": _NO_EXPORTER,
    "COMPRESSION": _NO_EXPORTER,
    "INSECURE": "Over gRPC empty is not true, so that TLS is spoken, whatever the address says.",
}


def examine(export: Export) -> Iterator[Finding]:
    """What one exporter's transport makes of its values."""
    environ = export.settings.environ
    own = f"{PREFIX}{export.signal.upper()}_"
    if export.transport == "grpc":
        for name, consequence in _EMPTY.items():
            for variable in (own + name, PREFIX + name):
                if variable in environ and not environ[variable].strip():
                    yield Finding(CHECK, "error", f"{variable} is set to nothing", consequence, f"unset {variable}")
        general = PREFIX + "ENDPOINT"
        if not export.endpoint.own and general in environ and not environ[general].strip():
            yield Finding(
                CHECK,
                "error",
                f"{general} is set to nothing",
                "Over gRPC it is then the address, and nothing is reached.",
                f"unset {general}",
            )
    compression = export.setting("COMPRESSION")
    taken = COMPRESSIONS[export.transport]
    if compression.value and compression.value.lower() not in taken:
        yield Finding(
            CHECK,
            "error" if export.transport == "grpc" else "warning",
            f"{shown(compression.variable, compression.value)} can't be used over {export.transport}, which takes"
            f" {' or '.join(sorted(taken))}",
            _NO_EXPORTER if export.transport == "grpc" else "Nothing is compressed.",
            f"unset {compression.variable}"
            if compression.value.lower() == "none"
            else f"export {compression.variable}=gzip",
        )
