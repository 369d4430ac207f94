"""The session of docs/pipeline.md, as it is printed."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from tests.compose.composition import ROOT
from tests.viewer.running import run_cli

if TYPE_CHECKING:
    import pathlib


def test_the_session_is_what_it_prints(tmp_path: pathlib.Path) -> None:
    page = (ROOT / "docs/pipeline.md").read_text()
    section = page.partition("\n## Render a configuration\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```console\n(.+?)^```", section, re.MULTILINE | re.DOTALL)
    steps = [
        step for block in blocks for step in re.findall(r"^\$ otelext (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    ]
    assert len(steps) == 4
    for place, (command, printed) in enumerate(steps):
        if place == 2:
            edited = tmp_path / "gateway.yaml"
            edited.write_text(edited.read_text().replace("flush_timeout: 200ms", "flush_timeout: 1s"))
        done = run_cli(*shlex.split(command.replace("/srv/otelcol", str(tmp_path))))
        assert (done.stdout + done.stderr).replace(str(tmp_path), "/srv/otelcol") == printed
        assert done.returncode == (place >= 2)
