"""Files that `render` writes: how it knows its own again, and writes all of them or none."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelext._version import __version__
from otelext.pipeline.options import TIERS, Options
from otelext.pipeline.render import render
from otelext.pipeline.templates import read

if TYPE_CHECKING:
    from collections.abc import Iterable

ALLOWED_ATTRIBUTES: Final = "allowed_attributes.yaml"
_HEAD: Final = re.compile(
    r"# Rendered by otelext [^\n]*\n# An edit is known by the sha256 of the lines below: (?P<sum>[0-9a-f]{64})\n#\n"
)


class State(Enum):
    """What is at the place of a file."""

    ABSENT = "absent"
    SAME = "same"
    """What would be written."""
    OURS = "ours"
    """Something else that `render` wrote, and nobody edited."""
    EDITED = "edited"


@dataclass(frozen=True)
class File:
    """A file to be written."""

    path: Path
    text: str

    @property
    def state(self) -> State:
        """What is there now.

        Raises:
            OSError: It can't be read.
        """
        there = self._there()
        if there is None:
            return State.ABSENT
        body = _headless(there)
        if (there if body is None else body) == (_headless(self.text) or self.text):
            return State.SAME
        # A tier's own file has no head, and neither has the list where it was copied by hand.
        known = (read(name) for name in (ALLOWED_ATTRIBUTES, *(f"{tier}.yaml" for tier in TIERS)))
        return State.EDITED if body is None and there not in known else State.OURS

    def difference(self) -> str:
        """A unified diff from what is there to what would be written; empty where that is the same.

        Raises:
            OSError: What is there can't be read.
        """
        if self.state is State.SAME:
            return ""
        there = self._there()
        lines = difflib.unified_diff(
            (there or "").splitlines(keepends=True),
            self.text.splitlines(keepends=True),
            os.devnull if there is None else str(self.path),
            str(self.path),
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def _there(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None


def files(options: Options, folder: Path) -> list[File]:
    """Everything that a Collector needs for these choices, to be written below a folder."""
    text = render(options)
    if not options.is_default:
        text = _headed(text, options)
    found = [File(folder / f"{options.tier}.yaml", text)]
    if f"{ALLOWED_ATTRIBUTES}}}}}" in text:
        found.append(File(folder / ALLOWED_ATTRIBUTES, _headed(read(ALLOWED_ATTRIBUTES), options)))
    return found


def write(chosen: Iterable[File]) -> None:
    """Write all of them, or leave everything as it is.

    Raises:
        OSError: One can't be written.
    """
    chosen = list(chosen)
    places = [Path(os.path.realpath(file.path)) for file in chosen]
    before: list[tuple[Path, bytes | None]] = []
    ready: list[Path] = []
    try:
        for file, place in zip(chosen, places, strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            ready.append(_prepared(place, file.text.encode()))
        for place, prepared in zip(places, ready, strict=True):
            before.append((place, place.read_bytes() if place.exists() else None))
            prepared.replace(place)
    except OSError:
        for place, content in before:
            _put_back(place, content)
        raise
    finally:
        for prepared in ready:
            prepared.unlink(missing_ok=True)


def _headed(text: str, options: Options) -> str:
    return (
        f"# Rendered by otelext {__version__}: {options.command}\n"
        f"# An edit is known by the sha256 of the lines below: {_sum(text)}\n"
        f"#\n{text}"
    )


def _headless(text: str) -> str | None:
    """What stands below a head whose sum is right; None where there is no such head."""
    head = _HEAD.match(text)
    if head is None or _sum(text[head.end() :]) != head["sum"]:
        return None
    return text[head.end() :]


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _prepared(place: Path, content: bytes) -> Path:
    """A file beside a place, with the content on disk and the permissions that it shall have."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    except OSError as error:
        error.filename = str(place)  # not a name that nobody has chosen
        raise
    prepared = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        prepared.chmod(place.stat().st_mode & 0o7777 if place.exists() else 0o666 & ~_umask())
    except OSError:
        prepared.unlink(missing_ok=True)
        raise
    return prepared


def _put_back(place: Path, content: bytes | None) -> None:
    with suppress(OSError):
        if content is None:
            place.unlink(missing_ok=True)
        else:
            _prepared(place, content).replace(place)


def _umask() -> int:
    """The process's, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
