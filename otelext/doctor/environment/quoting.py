"""What a shell takes away and nothing else does: quotes, references to other variables, space around a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.doctor.finding import Finding
from otelext.doctor.shown import HIDDEN, is_secret, shown, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOOKED_AT: Final = re.compile(r"OTEL_|OTELEXT_")
_NOT_LOOKED_AT: Final = re.compile(r"OTELEXT_(COLLECTOR|JAEGER|STACK)_|OTEL_PYTHON_LOG_FORMAT$")
_QUOTES: Final = ("'", '"')
_REFERENCE: Final = re.compile(r"\$(?:\{(\w+)[^}]*\}|\((\w+)\)|([A-Z_][A-Z0-9_]+))")
# A password may hold a $, so that a name without brackets has to be a whole value there, or what follows Bearer.
_REFERENCE_IN_A_SECRET: Final = re.compile(r"\$(?:\{(\w+)[^}]*\}|\((\w+)\)|(?<=[= 0]\$)([A-Z_][A-Z0-9_]+)(?=,|$))")
# Where the SDK does not strip a value itself; over a URL or a path it then stumbles, and of the rest it knows nothing.
_NOT_STRIPPED: Final = re.compile(
    r"OTEL_(EXPORTER_OTLP_.*(ENDPOINT|CERTIFICATE|CLIENT_KEY|INSECURE)|CONFIG_FILE|SERVICE_NAME|METRICS_EXEMPLAR_FILTER"
    r"|PYTHON_(DISTRO|CONFIGURATOR)|EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION)"
)


def examine(environ: Mapping[str, str], known: frozenset[str]) -> Iterator[Finding]:
    """A finding for each variable of OpenTelemetry or otelext whose value was meant for a shell.

    Args:
        environ: The environment.
        known: Names that something reads; the value of another one may be a credential whatever it is called.
    """
    for name, value in environ.items():
        if not _LOOKED_AT.match(name) or _NOT_LOOKED_AT.match(name):
            continue
        stripped = value.strip()
        said = shown(name, stripped) if name in known else f"{name}={HIDDEN}"
        right = typed(name, stripped.strip("'\"")) if name in known else f"{name}=..."
        if stripped.startswith(_QUOTES) or stripped.endswith(_QUOTES):
            yield Finding(
                "environment.quotes",
                "error",
                f"the value of {said} {_where(stripped)} a quote, which is part of it",
                "Only a shell takes quotes away: an env file of `docker run` and a value of Kubernetes' hand them on.",
                f"write {right} in the file that sets it, without quotes",
            )
        elif (reference := _reference(name, value)) is not None:
            yield Finding(
                "environment.reference",
                "error",
                f"{name} holds a reference to {reference} as it stands, which nobody has replaced by a value",
                "Only a shell does that, Compose in its own file, and Kubernetes for $(NAME) where NAME is set before it"
                " in the same container.",
                f"set {name} to the value itself",
            )
        elif value != stripped and stripped and _NOT_STRIPPED.fullmatch(name):
            yield Finding(
                "environment.space",
                "error",
                f"the value of {said} has white space around it, which is part of it",
                "A file that the value was read from ends with a line feed, or was written on Windows.",
                f"export {right}",
            )


def meant(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with those values as they were meant, so that nothing else is said of them."""
    found = {}
    for name, value in environ.items():
        if _LOOKED_AT.match(name) and not _NOT_LOOKED_AT.match(name):
            if _reference(name, value):
                continue
            stripped = value.strip()
            if stripped.startswith(_QUOTES) or stripped.endswith(_QUOTES):
                found[name] = stripped.strip("'\"")
                continue
            if stripped and _NOT_STRIPPED.fullmatch(name):
                found[name] = stripped
                continue
        found[name] = value
    return found


def _reference(name: str, value: str) -> str | None:
    """The name of the variable that a value refers to."""
    found = (_REFERENCE_IN_A_SECRET if is_secret(name) else _REFERENCE).search(value)
    return next(filter(None, found.groups())) if found else None


def _where(text: str) -> str:
    ends = [where for where, at in (("begins", text[0]), ("ends", text[-1])) if at in _QUOTES]
    return f"{' and '.join(ends)} with"
