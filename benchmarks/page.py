"""The page of figures: of all programs, or of some in place of what stood there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rounds import machine
from targets import HEAD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from targets import Ended, Row

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


class Page:
    """A Markdown page with figures between two comments.

    Raises:
        ValueError: If the comments aren't there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        found = re.fullmatch(f"(.*{BEGIN}\n)(.*)({END}.*)", path.read_text(), flags=re.DOTALL)
        if found is None:
            raise ValueError(
                f"{path} has no {BEGIN!r} with an {END!r} after it, between which figures would be written"
            )
        self._before, figures, self._after = found.groups()
        head, *sections = re.split(r"^### ", figures, flags=re.MULTILINE)
        self._rows = {line.split(" | ")[0].removeprefix("| "): line for line in head.splitlines() if line[:2] == "| "}
        self._measured_on = head.partition("\n")[0] if head.startswith("Measured on: ") else ""
        self._sections = {section.partition("\n")[0]: f"### {section.strip()}" for section in sections}

    @property
    def elsewhere(self) -> bool:
        """Whether its figures are of another machine or of other versions, and may not stand beside new ones."""
        return bool(self._measured_on) and not self._measured_on.startswith(measured_on())

    def replace(self, ended: Mapping[str, Ended], commands: Mapping[str, str], rows: Sequence[Row], took: str) -> None:
        """Write what was measured, and leave the rest as it is.

        Args:
            ended: The programs that have run.
            commands: How every program is started, in the order of the sections.
            rows: The targets, in their order.
            took: A sentence for how long all of them took; empty where only some ran.
        """
        for program, one in ended.items():
            minutes = f"{one.seconds / 60:.1f} minutes"
            self._sections[_title(program)] = (
                f"### {_title(program)}\n\n`{commands[program]}`, in {minutes}\n\n{one.printed.strip()}"
            )
        lines = [str(row) if row.measured else self._rows.get(row.what, str(row)) for row in rows]
        head = f"{measured_on()}.{took and f' {took}'}" if took or not self._measured_on else self._measured_on
        sections = [self._sections[title] for title in map(_title, commands) if title in self._sections]
        body = "\n\n".join([head, "\n".join([*HEAD, *lines]), *sections])
        self._path.write_text(f"{self._before}{body}\n{self._after}")


def measured_on() -> str:
    """Where figures that are taken now come from."""
    described = ", ".join(f"{what} {value}" if what[0].islower() else value for what, value in machine().items())
    return f"Measured on: {described}"


def _title(program: str) -> str:
    return program.replace("_", " ").capitalize()
