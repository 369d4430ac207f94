"""What the tests of what leaves share: runs of the service, one for each setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.privacy.running import Left, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """What left a service that has the defaults."""
    return run(_folder(tmp_path_factory))


def _folder(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("service")
