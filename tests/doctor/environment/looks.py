"""What the tests of this room share: looking by `examine`, and distributions that are installed for a test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from otelext.doctor.environment import examine

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelext.doctor.finding import Finding

PATH = {"PATH": "/usr/bin:/bin"}


def wrong(**environ: str) -> list[Finding]:
    """What is warned of or wrong in an environment that has nothing but these variables."""
    return [finding for finding in examine({**PATH, **environ}) if finding.level in {"warning", "error"}]


def only(**environ: str) -> Finding:
    """The one thing that is wrong."""
    found = wrong(**environ)
    assert len(found) == 1, found
    assert found[0].cause or found[0].summary
    assert found[0].next_step, found
    return found[0]


def fine(check: str, **environ: str) -> str:
    """What is said of a group that is in order."""
    (found,) = (finding for finding in examine({**PATH, **environ}) if finding.check == check)
    assert found.level == "ok", found
    return found.summary


def text(findings: Iterable[Finding]) -> str:
    """All that would be printed."""
    return "\n".join(str(part) for found in findings for part in (found.summary, found.cause, found.next_step))


class Installs(Protocol):
    """Installs a distribution for the length of a test."""

    def __call__(
        self,
        name: str,
        version: str = "1.0",
        *,
        requires: Iterable[str] = (),
        entry_points: str = "",
        modules: Iterable[str] = (),
        folder: str = "packages",
    ) -> Path: ...


def installed_in(folder: Path, name: str, version: str, requires: Iterable[str], entry_points: str) -> None:
    """Write what an installer leaves behind: https://packaging.python.org/specifications/recording-installed-packages/."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
    extras = {one.partition("extra == ")[2].strip("'\" ") for one in requires if "extra == " in one}
    lines += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
    lines += [f"Requires-Dist: {one}" for one in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (info / "RECORD").write_text("", encoding="utf-8")
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")


def without_site_packages() -> list[str]:
    """The path of an interpreter that has nothing installed but the standard library."""
    return [folder for folder in sys.path if "site-packages" not in folder and folder not in {"", "."}]
