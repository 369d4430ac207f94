from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext.viewer.store import Store
from tests.viewer.running import RunningViewer, start_viewer
from tests.viewer.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def view(tmp_path: Path) -> Iterator[Callable[..., RunningViewer]]:
    """Starts viewers, with options, and stops them at the end."""
    running: list[RunningViewer] = []

    def start(*arguments: str) -> RunningViewer:
        running.append(start_viewer(tmp_path, *arguments))
        return running[-1]

    yield start
    for viewer in running:
        if viewer.process.poll() is None:
            viewer.stop()
        for pipe in (viewer.process.stdout, viewer.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def viewer(view: Callable[..., RunningViewer]) -> RunningViewer:
    """A running viewer, in memory."""
    return view()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningViewer]:
    """One running viewer for a module whose tests do not count what is stored."""
    running = start_viewer(tmp_path_factory.mktemp("viewer"))
    yield running
    code, _, errors = running.stop()
    assert (code, errors) == (0, "")


@pytest.fixture
def service(viewer: RunningViewer) -> Iterator[Callable[..., Service]]:
    """Makes services that send to the viewer, and stops them at the end."""
    made: list[Service] = []

    def make(**options: object) -> Service:
        made.append(Service(viewer, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory."""
    with Store() as made:
        yield made
