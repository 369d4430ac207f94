"""`docs/pipeline.md`: what it shows of `otelext collector validate`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from click.testing import CliRunner

from otelext.cli._root import root
from otelext.pipeline.otelcol import REFUSED
from otelext.pipeline.validate import RULES
from tests.compose.composition import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PAGE = (ROOT / "docs" / "pipeline.md").read_text()


def test_the_session_is_as_it_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = PAGE.partition("## Check a configuration")[2]
    (tmp_path / "collector.yaml").write_text(re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[0])
    command, _, said = re.findall(r"^```console\n\$ (.*?)^```", section, re.MULTILINE | re.DOTALL)[0].partition("\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(root, command.split()[1:])
    assert (done.exit_code, done.output) == (1, said)


def test_the_table_has_every_rule() -> None:
    rows = re.findall(r"^\| `(.+)` \| (error|warning|note) \| (.+) \|$", PAGE, re.MULTILINE)
    assert set(rows) == {(rule.id, rule.severity, rule.title) for rule in (*RULES, REFUSED)}
