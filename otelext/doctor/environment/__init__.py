"""The environment of a service, as it is before anything is sent: variables, packages, files, proxies, the GPU.

Comes in: an environment; what is installed and what variables point to is looked up. Goes out: findings. Each file here
is one kind of thing to look at and a function of it; nothing is imported but modules that name variables, nothing of the
user's is started, and no value that may be a credential is shown. May import `otelext.distro` and the findings.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.sdk.environment_variables import (
    OTEL_CONFIG_FILE,
    OTEL_RESOURCE_ATTRIBUTES,
    OTEL_SDK_DISABLED,
    OTEL_SERVICE_NAME,
)

from otelext.doctor.environment import (
    certificates,
    declarative,
    distros,
    endpoints,
    exporters,
    gpu,
    headers,
    instrumentations,
    names,
    proxies,
    quoting,
    switches,
    tracers,
    transports,
    typos,
    values,
    versions,
)
from otelext.doctor.environment.exports import exports
from otelext.doctor.environment.installed import installed
from otelext.doctor.environment.start import Settings, choice
from otelext.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelext.doctor.environment.exports import Export
    from otelext.doctor.environment.installed import Installed

__all__ = ["examine"]


def examine(environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Look at everything that decides where a service's telemetry goes, before any of it is sent.

    Args:
        environ: The service's environment variables.

    Returns:
        One finding for each thing that is wrong, group by group; one of level `ok` for a group without any, and one of
        level `skipped` for a group that does not count here.
    """
    here = installed()
    known = names.known(here)
    meant = quoting.meant(environ)
    settings = Settings(meant, choice("distro", meant, here))
    sent = list(exports(settings))
    off = _off(settings)
    return [
        *_group(
            Finding("environment.variables", "ok", _of_variables(environ, settings)),
            typos.examine(environ, known),
            quoting.examine(environ, known),
            values.examine(meant, here),
            switches.examine(settings),
            declarative.examine(meant, here),
        ),
        *_group(Finding("environment.distro", "ok", distros.described(meant, here)), distros.examine(meant, here)),
        *_group(Finding("environment.versions", "ok", _of_versions(here)), versions.examine(here)),
        *_group(
            Finding("environment.instrumentation", "ok", _of_instrumentations(here)),
            instrumentations.examine(meant, here),
            tracers.examine(environ, here),
        ),
        *(
            [Finding("environment.exporter", "skipped", f"exporters and proxies are not looked at: {off}")]
            if off
            else [
                *_group(
                    Finding("environment.exporter", "ok", _of_exports(settings, sent)),
                    exporters.examine(settings, here, choice("configurator", meant, here)),
                    *(
                        look.examine(export)
                        for export in sent
                        for look in (endpoints, headers, certificates, transports)
                    ),
                ),
                *_group(
                    Finding("environment.proxy", "ok", "no proxy stands between the service and its receivers"),
                    *(proxies.examine(export, environ) for export in sent),
                ),
            ]
        ),
        *gpu.examine(environ),
    ]


def _group(fine: Finding, *looks: Iterable[Finding]) -> list[Finding]:
    """What is wrong, each thing once: signals that share a variable share its faults."""
    return list(dict.fromkeys(finding for look in looks for finding in look)) or [fine]


def _off(settings: Settings) -> str | None:
    if settings.get(OTEL_SDK_DISABLED).lower() == "true":
        return f"{OTEL_SDK_DISABLED} is true"
    return f"{OTEL_CONFIG_FILE} says where everything goes" if settings.is_set(OTEL_CONFIG_FILE) else None


def _of_variables(environ: Mapping[str, str], settings: Settings) -> str:
    count = sum(name.startswith(("OTEL_", "OTELEXT_")) for name in environ)
    named = settings.is_set(OTEL_SERVICE_NAME) or "service.name=" in settings.get(OTEL_RESOURCE_ATTRIBUTES)
    return f"{count} variable{'' if count == 1 else 's'} of OpenTelemetry and otelext, known and valid" + (
        "" if named else f"; {OTEL_SERVICE_NAME} is not set here, so that the service is called unknown_service"
    )


def _of_versions(here: Installed) -> str:
    return ", ".join(str(package) for name in ("otelext", "opentelemetry-sdk") if (package := here.get(name)))


def _of_instrumentations(here: Installed) -> str:
    others = tracers.idle(here)
    return (
        f"instrumentations: {', '.join(plugin.name for plugin in here.plugins(instrumentations.GROUP)) or 'none'}"
        + (f"; {', '.join(others)} would trace too where the service's code starts it" if others else "")
    )


def _of_exports(settings: Settings, sent: list[Export]) -> str:
    if not sent and not settings.certain:
        return "no exporter is set; the distro that is taken may set one"
    return "; ".join(map(str, sent)) or "no OTLP exporter is asked for"
