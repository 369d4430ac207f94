from __future__ import annotations

from typing import Any

import pytest

from tests.compose.composition import composition


@pytest.fixture(scope="package")
def whole() -> dict[str, Any]:
    """The compose file with every default."""
    return composition(GRAFANA_PASSWORD="not a default")


@pytest.fixture(scope="package")
def services(whole: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = whole["services"]
    return found
