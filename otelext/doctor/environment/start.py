"""How `opentelemetry-instrument` starts here: whose distro and configurator it takes, and what then holds unset.

It takes the first entry point of a group, or the first of the name that a variable gives, as
`opentelemetry.instrumentation.auto_instrumentation._load` does; which one is first follows from the path and, within a
folder of it, from the order in which the file system lists names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.environment_variables import OTEL_LOGS_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_TRACES_EXPORTER
from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_CONFIGURATOR, OTEL_PYTHON_DISTRO
from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_PROTOCOL

from otelext.distro.variables import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.environment.installed import Installed, Plugin

OURS: Final = "otelext"
DISTROS: Final = "opentelemetry_distro"
CONFIGURATORS: Final = "opentelemetry_configurator"
# https://github.com/open-telemetry/opentelemetry-python-contrib/blob/main/opentelemetry-distro
_OF_OPENTELEMETRY_DISTRO: Final = {
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_LOGS_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
}


@dataclass(frozen=True)
class Choice:
    """Of one kind of plug-in: which are installed, which is asked for, which is taken.

    Attributes:
        kind: `distro` or `configurator`.
        variable: By which the user chooses.
        wanted: What it is set to, None where it is not set; empty is a name as any other, which nothing has.
        candidates: All that are installed, in their order.
        winner: The one that is taken, if any.
    """

    kind: str
    variable: str
    wanted: str | None
    candidates: tuple[Plugin, ...]
    winner: Plugin | None

    @property
    def is_ours(self) -> bool:
        """Whether otelext's is taken."""
        return self.winner is not None and self.winner.package.name == OURS

    @property
    def by_luck(self) -> bool:
        """Whether the order of a folder decided, which may be another on another machine."""
        return self.wanted is None and len(self.candidates) > 1


def choice(kind: str, environ: Mapping[str, str], here: Installed) -> Choice:
    """Whose plug-in is taken; `kind` is `distro` or `configurator`."""
    group, variable = {
        "distro": (DISTROS, OTEL_PYTHON_DISTRO),
        "configurator": (CONFIGURATORS, OTEL_PYTHON_CONFIGURATOR),
    }[kind]
    candidates, wanted = here.plugins(group), environ.get(variable)
    winner = next((one for one in candidates if wanted in {None, one.name}), None)
    return Choice(kind, variable, wanted, candidates, winner)


class Settings:
    """The environment as exporters find it, with what the distro that is taken sets where the user set nothing.

    Attributes:
        environ: What the user set.
        certain: Whether what is not set is known: a distro that we don't know may set anything.
    """

    def __init__(self, environ: Mapping[str, str], distro: Choice) -> None:
        self.environ = environ
        package = distro.winner.package.name if distro.winner else None
        if package == OURS:
            self._defaults = DEFAULTS
        elif package == "opentelemetry-distro":
            self._defaults = _OF_OPENTELEMETRY_DISTRO
        else:
            self._defaults = {}
        self.certain = package in {None, OURS, "opentelemetry-distro"}

    def get(self, name: str) -> str:
        """The value that holds, empty for none."""
        return self.environ.get(name, "").strip() or self._defaults.get(name, "")

    def is_set(self, name: str) -> bool:
        """Whether the user set it."""
        return bool(self.environ.get(name, "").strip())

    def all(self) -> Mapping[str, str]:
        """Everything that holds."""
        return {**self._defaults, **{name: value for name, value in self.environ.items() if value.strip()}}
