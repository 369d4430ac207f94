from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.doctor.environment.looks import installed_in, without_site_packages

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.doctor.environment.looks import Installs


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installs:
    """Installs distributions that are found before those of the tests."""

    def install(
        name: str,
        version: str = "1.0",
        *,
        requires: Iterable[str] = (),
        entry_points: str = "",
        modules: Iterable[str] = (),
        folder: str = "packages",
    ) -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        installed_in(place, name, version, tuple(requires), entry_points)
        for module in modules:
            (place / f"{module}.py").write_text("raise RuntimeError('nothing of the user is imported')\n")
        if str(place) not in sys.path:
            monkeypatch.syspath_prepend(str(place))
        return place

    return install


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No distributions at all, hence also none of otelext; what is imported already stays."""
    empty = tmp_path / "empty"
    empty.mkdir()
    folders = [folder for folder in without_site_packages() if not list_of_infos(folder)]
    monkeypatch.syspath_prepend(str(empty))  # first, as it remembers the path that is put back at last
    monkeypatch.setattr(sys, "path", [str(empty), *folders])


def list_of_infos(folder: str) -> list[Path]:
    from pathlib import Path

    place = Path(folder)
    return [*place.glob("*.dist-info"), *place.glob("*.egg-info")] if place.is_dir() else []
