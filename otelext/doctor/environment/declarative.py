"""The declarative configuration file, which takes the place of most variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.environment_variables import OTEL_CONFIG_FILE

from otelext.distro.configurator import said_of_file
from otelext.doctor.finding import Finding
from otelext.doctor.otlp_variables import silenced
from otelext.doctor.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelext.doctor.environment.installed import Installed

CHECK: Final = "environment.file"
_READER: Final = "opentelemetry-configuration"
_NOTHING: Final = "Nothing is configured then, so that nothing is recorded."


def examine(environ: Mapping[str, str], here: Installed) -> Iterator[Finding]:
    """Whether the file that `OTEL_CONFIG_FILE` names can be used."""
    name = environ.get(OTEL_CONFIG_FILE, "")
    if not name.strip():
        return
    said = shown(OTEL_CONFIG_FILE, name)
    if _READER not in here:
        yield Finding(
            CHECK,
            "error",
            f"{said} needs the package {_READER}, which is not installed",
            _NOTHING,
            f"python -m pip install {_READER}",
        )
    elif not Path(name).is_file():
        yield Finding(CHECK, "error", f"{said}: there is no such file", _NOTHING, f"ls -l {Path(name).parent}")
    elif not os.access(name, os.R_OK):
        yield Finding(CHECK, "error", f"{said} can't be read by this user", _NOTHING, f"chmod a+r {name}")
    else:
        fault = _fault(name)
        if fault is not None:
            yield Finding(CHECK, "error", f"{said} can't be used: {fault}", _NOTHING, f"correct {name}")


def _fault(name: str) -> str | None:
    """What its reader says against it; it replaces references by the variables of this process."""
    from opentelemetry.configuration import load_config_file  # noqa: PLC0415  # of an extra

    with silenced("opentelemetry.configuration"):  # it logs what it raises, with a traceback
        try:
            load_config_file(name)
        except Exception as error:  # noqa: BLE001  # whatever it says; the file is the user's
            return said_of_file(str(error)) or type(error).__name__
    return None
