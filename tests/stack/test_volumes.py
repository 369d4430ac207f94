"""`collector/backup/volumes.sh`: what it leaves behind, above all when something is wrong."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.compose.composition import ROOT
from tests.stack.container_engine import ContainerEngine
from tests.stack.documentation import documented
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORES: Final = {"prometheus", "jaeger", "loki", "alertmanager", "grafana"}


@pytest.fixture
def engine(programs: dict[str, Path], tmp_path: Path) -> Iterator[ContainerEngine]:
    """One on which Alertmanager alone runs, and every volume has a file."""
    with Stack(tmp_path / "stack", programs) as stack, ContainerEngine(stack, tmp_path / "machine") as engine:
        engine.run("docker compose -f docker-compose.otel.yml create; docker start alertmanager")
        for folder in engine.volumes.values():
            (folder / "file").write_text("before")
        yield engine


def archives(engine: ContainerEngine) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (engine.checkout / "backup").iterdir()}


def test_a_backup_has_every_store_and_starts_again_what_ran(engine: ContainerEngine) -> None:
    everything, one = documented("Back up")
    engine.run(everything)
    assert engine.running == ["alertmanager"]
    assert archives(engine).keys() == {f"{store}.tar" for store in STORES}
    assert {path.stat().st_mode & 0o077 for path in (engine.checkout / "backup").iterdir()} == {0}
    (engine.volumes["otelext_prometheus"] / "file").write_text("after")
    before = archives(engine)
    engine.run(one)
    after = archives(engine)
    assert {name for name in after if after[name] != before[name]} == {"prometheus.tar"}


def test_a_backup_that_fails_leaves_servers_and_archives_as_they_were(engine: ContainerEngine) -> None:
    everything, _ = documented("Back up")
    engine.run(everything)
    before = archives(engine)
    for folder in engine.volumes.values():
        (folder / "file").write_text("after")
    shutil.rmtree(engine.volumes["otelext_loki"])
    done = engine.attempt(everything)
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (
        1,
        ["volumes.sh: loki could not be copied; the archives are those of before"],
    )
    assert engine.running == ["alertmanager"]
    assert archives(engine) == before


def test_a_volume_that_holds_files_is_not_restored_into(engine: ContainerEngine) -> None:
    engine.run("docker stop alertmanager; " + documented("Back up")[0])
    for name, folder in engine.volumes.items():
        if name != "otelext_grafana":
            shutil.rmtree(folder)
            folder.mkdir()
    done = engine.attempt(documented("Restore")[0])
    assert done.returncode == 1
    assert "the volume of grafana holds files; nothing was restored" in done.stderr
    assert [name for name, folder in engine.volumes.items() if any(folder.iterdir())] == ["otelext_grafana"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("backup ./backup lokki", "lokki has no volume otelext_lokki"),
        ("restore ./backup loki", "there is no ./backup/loki.tar"),
        ("restore ./backup", "there is no ./backup/*.tar"),
        ("backup", "volumes.sh backup FOLDER [SERVICE...]"),
        ("remove ./backup", "volumes.sh backup FOLDER [SERVICE...]"),
    ],
)
def test_mistakes_are_named_and_stop_nothing(engine: ContainerEngine, arguments: str, complaint: str) -> None:
    done = engine.attempt(f"sh collector/backup/volumes.sh {arguments}")
    assert done.returncode != 0
    assert complaint in done.stderr
    assert engine.running == ["alertmanager"]
    assert not (engine.checkout / "backup").exists()


@pytest.mark.parametrize("action", ["backup", "restore"])
@pytest.mark.parametrize(
    ("docker", "complaint"),
    [
        (None, "there is no docker on PATH"),
        ("[ $1 = compose ]", "docker reaches no daemon"),
        ("[ $1 != compose ]", "docker has no command compose: install its plugin"),
    ],
)
def test_a_docker_that_does_not_work_is_named_first(
    tmp_path: Path, action: str, docker: str | None, complaint: str
) -> None:
    for name in ("sh", "dirname"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    if docker:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (tmp_path / "docker").chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "collector/backup/volumes.sh"), action, str(tmp_path), "loki"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, f"volumes.sh: {complaint}\n")
