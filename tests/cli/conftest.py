from __future__ import annotations

from tests.viewer.conftest import view

__all__ = ["view"]
