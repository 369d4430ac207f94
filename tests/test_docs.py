"""What the documentation shows runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from otelext import semconv
from otelext.testing import capture
from tests.distro.processes import plain, run_python
from tests.otlp_receiver import OtlpReceiver

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("examples/*/README.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def _blocks(page: Path) -> str:
    return "\n".join(BLOCK.findall(page.read_text()))


@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_python_examples_run(page: Path) -> None:
    with capture():
        exec(compile(_blocks(page), str(page), "exec"), {"__name__": "example"})  # our own pages


def test_the_readme_example_measures_what_it_says() -> None:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(_blocks(ROOT / "README.md"), "README.md", "exec"), names)
    with capture() as captured:
        asyncio.run(names["main"]())
        (inference,) = captured.inferences()
        assert inference.outcome == "completed"
        assert inference.output_tokens == 3
        assert set(inference.breakdown or {}) == {"preprocess", "vision_encode", "prefill", "unattributed"}
        assert captured.value("vlm.tokens", gen_ai_token_type="input") == 1218


def test_the_readme_example_run_by_itself_sends_what_it_measures() -> None:
    with OtlpReceiver() as receiver:
        done = run_python(_blocks(ROOT / "README.md"), plain(receiver.endpoint))
    assert (done.stdout, done.stderr) == ("Total: 12.50", "")
    assert {span.name for span in receiver.spans} > {"chat qwen2.5-vl-7b"}
    assert receiver.total(semconv.INFERENCES.name) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert not missing


def test_the_page_on_privacy_lists_every_opt_out() -> None:
    page = (ROOT / "docs" / "privacy.md").read_text()
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    assert {name: listed.get(name) for name in semconv.CAPTURES} == semconv.CAPTURES


def test_the_readme_says_in_five_lines_what_leaves() -> None:
    paragraph = (ROOT / "README.md").read_text().partition("**Privacy.**")[2].partition("\n\n")[0]
    assert len(paragraph.splitlines()) == 5
