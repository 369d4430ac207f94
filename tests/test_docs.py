"""What the documentation shows runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otelext.testing import capture

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
    with capture() as captured:
        exec(compile(_blocks(ROOT / "README.md"), "README.md", "exec"), {"__name__": "example"})
        (inference,) = captured.inferences()
        assert inference.outcome == "completed"
        assert inference.output_tokens == 3
        assert set(inference.breakdown or {}) == {"preprocess", "vision_encode", "prefill", "unattributed"}
        assert captured.value("vlm.tokens", gen_ai_token_type="input") == 1218


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert not missing
