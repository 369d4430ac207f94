"""Exporters that are asked for: whether a package provides each, and the protocol that OTLP is spoken by."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from otelext.distro.exporters import EXTRAS, PROTOCOLS, SIGNALS, entry_point_name, named
from otelext.doctor.finding import Finding
from otelext.doctor.otlp_variables import PREFIX
from otelext.doctor.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.environment.installed import Installed
    from otelext.doctor.environment.start import Choice, Settings

_EXPORTER: Final = "environment.exporter"
_PROTOCOL: Final = "environment.protocol"
_GONE: Final = frozenset(
    {"jaeger", "jaeger_proto", "jaeger_thrift", "zipkin", "zipkin_json", "zipkin_proto", "opencensus"}
)
_BY_EXPORTER: Final = {exporter: protocol for protocol, exporter in PROTOCOLS.items()}


def examine(settings: Settings, here: Installed, configurator: Choice) -> Iterator[Finding]:
    """Exporters that nothing provides, and protocols that none speaks.

    Args:
        settings: What holds.
        here: What is installed.
        configurator: Whose makes the exporters; otelext's goes on without one that it can't have.
    """
    lost = (
        "otelext's configurator leaves it out, so that nothing is exported by it."
        if configurator.is_ours
        else "The SDK's configurator then gives up: nothing of any signal is exported."
    )
    for variable, protocol, group in SIGNALS:
        there = sorted({plugin.name for plugin in here.plugins(group)})
        for name in named(variable, settings.all()):
            provided_as = entry_point_name(name, protocol, settings.all())
            if provided_as in there:
                yield from _contradicted(name, protocol, settings)
                continue
            yield Finding(_EXPORTER, "error", *_missing(name, variable, there, settings, lost))
    yield from _protocols(settings, configurator)


def _missing(name: str, variable: str, there: list[str], settings: Settings, lost: str) -> tuple[str, str, str]:
    asked = shown(variable, settings.get(variable))
    where = asked if settings.is_set(variable) else f"{asked} (the distro's default)"
    if name in EXTRAS:
        return (
            f"{where} needs a package that is not installed",
            lost,
            f'python -m pip install "otelext[{EXTRAS[name]}]"',
        )
    if name.lower() in _GONE:
        why = f"OpenTelemetry has no exporter {name!r} for Python any longer; Jaeger, Zipkin and all others take OTLP. {lost}"
        return f"{where} names {name!r}, which no installed package provides", why, f"export {variable}=otlp"
    close = get_close_matches(name.lower(), [*there, "none"], 1)
    also = " 'none' counts only where it stands alone." if name.lower() == "none" else ""
    return (
        f"{where} names {name!r}, which no installed package provides; installed: {', '.join(there) or 'none'}",
        lost + also,
        f"export {variable}={close[0] if close else 'otlp'}",
    )


def _contradicted(name: str, protocol: str, settings: Settings) -> Iterator[Finding]:
    speaks = _BY_EXPORTER.get(name)
    for variable in (protocol, PREFIX + "PROTOCOL"):
        said = settings.environ.get(variable, "").strip()
        if speaks and said in PROTOCOLS and said != speaks:
            yield Finding(
                "environment.conflict",
                "warning",
                f"the exporter {name} speaks {speaks}, and {variable} is {said}",
                "The exporter's name wins; only otlp asks for the protocol.",
                f"export {variable}={speaks}",
            )
            return


def _protocols(settings: Settings, configurator: Choice) -> Iterator[Finding]:
    for variable in (*(protocol for _, protocol, _ in SIGNALS), PREFIX + "PROTOCOL"):
        value = settings.environ.get(variable, "").strip()
        if not value or value in PROTOCOLS:
            continue
        close = get_close_matches(value.lower(), PROTOCOLS, 1, 0.3)
        known = " The specification has http/json; the Python SDK has not." if value == "http/json" else ""
        consequence = (
            "otelext takes http/protobuf instead."
            if configurator.is_ours
            else "The SDK's configurator then gives up: nothing of any signal is exported."
        )
        yield Finding(
            _PROTOCOL,
            "warning" if configurator.is_ours else "error",
            f"{shown(variable, value)} is no protocol that the Python SDK exports by: it is {' or '.join(PROTOCOLS)}",
            consequence + known,
            f"export {variable}={close[0] if close else 'http/protobuf'}",
        )
