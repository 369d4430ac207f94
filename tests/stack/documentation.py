"""Commands as they stand in the documentation."""

from __future__ import annotations

import re

from tests.compose.composition import ROOT


def documented(heading: str, page: str = "docs/upkeep.md") -> list[str]:
    """The shell blocks of a section of a page."""
    sections = re.split(r"^## (.+)\n", (ROOT / page).read_text(), flags=re.MULTILINE)
    return re.findall(r"^```sh\n(.+?)^```", sections[sections.index(heading) + 1], re.MULTILINE | re.DOTALL)
