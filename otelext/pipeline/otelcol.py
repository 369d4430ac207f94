"""The Collector's own `validate`, where there is a Collector."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from otelext.pipeline.configuration import SECTIONS
from otelext.pipeline.finding import Finding, Rule
from otelext.pipeline.yaml_tree import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED: Final = Rule(
    "refused-by-otelcol",
    "error",
    "The Collector's own `validate` refuses it",
    "The Collector on this machine does not start with it.",
)
PROGRAMS: Final = ("otelcol", "otelcol-contrib")
_SECONDS: Final = 30
_LINE: Final = re.compile(r"line (\d+)")


def program() -> str | None:
    """The path of the Collector on PATH, None if there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def components(binary: str) -> frozenset[tuple[str, str]]:
    """Kinds and types that the Collector was built with: one of another distribution has others than contrib.

    Raises:
        OSError: The program can't be started, or does not list them.
        subprocess.TimeoutExpired: It took longer than 30 s.
    """
    done = subprocess.run([binary, "components"], capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603  # as below
    try:
        listed = YAML(typ="safe").load(done.stdout.decode(errors="replace"))
        return frozenset((kind, one["name"]) for kind, section in SECTIONS.items() for one in listed.get(section) or ())
    except (YAMLError, AttributeError, KeyError, TypeError) as error:
        raise OSError(f"it lists no components, and ended with status {done.returncode}") from error


def check(binary: str, files: Sequence[str]) -> list[Finding]:
    """What `otelcol validate` says of the files together, one finding at most.

    Args:
        binary: The Collector.
        files: The configuration and what is laid over it.

    Raises:
        OSError: The program can't be started, was ended, said nothing, or can't read a file a second time.
        subprocess.TimeoutExpired: It took longer than 30 s.
    """
    for file in files:
        if not Path(file).is_file():
            raise OSError(f"{file} can't be read twice")
    # The Collector takes what stands before a colon for a scheme, and needs two letters of one.
    given = [f"--config=file:{file}" for file in files]
    command = [binary, "validate", *given]
    done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603  # the Collector on the user's own PATH
    if done.returncode == 0:
        return []
    output = (done.stderr or done.stdout).decode(errors="replace")
    said = "; ".join(line.strip(" *") for line in output.splitlines() if line.strip())
    said = re.sub(r"^Error:\s*", "", said)
    if done.returncode < 0 or not said:
        raise OSError(f"it ended with status {done.returncode}{': ' if said else ''}{said}")
    line = _LINE.search(said)
    instead = "what the Collector asks for"
    if any(b"${env:" in Path(file).read_bytes() for file in files):
        instead += "; the variables that the file names have to be set here as where it runs"
    return [Finding(REFUSED, Place(files[0], int(line[1]) if line else 1), said, instead)]
