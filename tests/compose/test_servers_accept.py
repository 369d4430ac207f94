"""The servers' own checks of their files, where the servers are built."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from collector.tools.stack import NoGo, NotBuilt, binaries
from tests.compose.composition import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BACKENDS = ROOT / "collector/backends"
# Which program checks the files of a folder, and how.
CHECKS = {
    "prometheus": ("promtool", ["check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"]),
    "alertmanager": ("amtool", ["check-config", "alertmanager.yml"]),
    "jaeger, badger": ("jaeger", ["validate", "--config=jaeger.yaml", "--config=badger.yaml"]),
    "jaeger, memory": ("jaeger", ["validate", "--config=jaeger.yaml", "--config=memory.yaml"]),
    "loki": ("loki", ["-verify-config", "-config.file=loki.yaml", "-common.path-prefix=data", "-store.retention=720h"]),
}


@pytest.fixture(scope="module")
def programs() -> Mapping[str, Path]:
    try:
        return binaries()
    except (NoGo, NotBuilt) as error:
        pytest.skip(str(error))


@pytest.fixture
def check(programs, tmp_path):
    """Checks a copy of a server's folder: what is in it, or with something appended to its first file."""

    def check(server: str, appended: str = "") -> subprocess.CompletedProcess[str]:
        program, arguments = CHECKS[server]
        folder = tmp_path / "copy"
        shutil.copytree(BACKENDS / server.split(",", maxsplit=1)[0], folder)
        first = next(folder / path for argument in arguments if (path := argument.split("=")[-1]).endswith("ml"))
        first.write_text(first.read_text() + appended)
        return subprocess.run(
            [programs[program], *arguments],
            cwd=folder,
            env={"OTELEXT_JAEGER_UI": "ui.json"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return check


@pytest.mark.parametrize("server", CHECKS)
def test_a_server_accepts_its_files(check, server):
    done = check(server)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("server", CHECKS)
def test_a_misspelt_key_is_not_accepted(check, server):
    done = check(server, appended="\nmisspelt:\n  key: 1\n")
    assert done.returncode != 0
    assert "misspelt" in done.stdout + done.stderr
