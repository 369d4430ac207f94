"""Variables whose values are names of entry points: samplers, propagators, detectors and the like."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from otelext.doctor.finding import Finding
from otelext.doctor.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelext.doctor.environment.installed import Installed
    from otelext.doctor.finding import Level

CHECK: Final = "environment.value"
_LOST: Final = "The SDK refuses it when it starts: nothing of that signal, or nothing at all, is exported."
_DEFAULT: Final = "The SDK takes its default instead, with one line in the service's log."


@dataclass(frozen=True)
class _Named:
    """A variable whose values are names of entry points.

    Attributes:
        group: Of the entry points.
        listed: Whether it takes several, separated by commas.
        level: Of the finding where nothing has the name.
        consequence: What becomes of it then.
        also: Names that are no entry points.
    """

    group: str
    listed: bool
    level: Level
    consequence: str
    also: frozenset[str] = frozenset()


_NAMED: Final = {
    "OTEL_TRACES_SAMPLER": _Named(
        "opentelemetry_traces_sampler", False, "warning", "The SDK keeps all traces then (parentbased_always_on)."
    ),
    "OTEL_PROPAGATORS": _Named(
        "opentelemetry_propagator",
        True,
        "error",
        "Importing opentelemetry.propagate raises then, hence every instrumentation that carries traces on.",
    ),
    "OTEL_PYTHON_ID_GENERATOR": _Named("opentelemetry_id_generator", False, "error", _LOST),
    "OTEL_PYTHON_CONTEXT": _Named("opentelemetry_context", False, "warning", _DEFAULT),
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": _Named(
        "opentelemetry_resource_detector", True, "warning", "Its attributes are missing then.", frozenset({"*"})
    ),
    "OTEL_PYTHON_TRACER_CONFIGURATOR": _Named("_opentelemetry_tracer_configurator", False, "warning", _DEFAULT),
    "OTEL_PYTHON_METER_CONFIGURATOR": _Named("_opentelemetry_meter_configurator", False, "warning", _DEFAULT),
    "OTEL_PYTHON_LOGGER_CONFIGURATOR": _Named("_opentelemetry_logger_configurator", False, "warning", _DEFAULT),
}
_PACKAGES: Final = {
    **dict.fromkeys(("b3", "b3multi"), "opentelemetry-propagator-b3"),
    "jaeger": "opentelemetry-propagator-jaeger",
    "ottrace": "opentelemetry-propagator-ot-trace",
    "xray": "opentelemetry-propagator-aws-xray",
    "xray-lambda": "opentelemetry-propagator-aws-xray",
}
"""What brings the propagators of the specification that the API lacks."""


def examine(environ: Mapping[str, str], here: Installed) -> Iterator[Finding]:
    """A finding for each name that no installed package provides."""
    for variable, named in _NAMED.items():
        value = environ.get(variable, "")
        wanted = [name.strip() for name in value.split(",")] if named.listed else [value.strip()]
        there = sorted({plugin.name for plugin in here.plugins(named.group)})
        for name in wanted if value.strip() else ():
            if name.lower() == "none" and variable == "OTEL_PROPAGATORS":
                break  # the SDK reads no further
            # A trailing comma asks for the propagator without a name.
            if name in there or name in named.also or (not name and variable != "OTEL_PROPAGATORS"):
                continue
            close = get_close_matches(name.lower(), there, 1)
            package = _PACKAGES.get(name) if variable == "OTEL_PROPAGATORS" else None
            yield Finding(
                CHECK,
                named.level,
                f"{shown(variable, value)} names {name!r}, which no installed package provides; installed:"
                f" {', '.join(there) or 'none'}",
                named.consequence,
                f"python -m pip install {package}" if package else f"export {variable}={(*close, *there, '')[0]}",
            )
