"""What the stack's tests share: the programs that `make stack` built, and one running stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collector.tools.stack import NoGo, NotBuilt, binaries
from tests.stack.certificates import Certificates
from tests.stack.collectors import TwoTiers
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    try:
        return binaries()
    except (NoGo, NotBuilt) as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def stack(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All of it, for the tests that break nothing."""
    with Stack(tmp_path_factory.mktemp("stack"), programs) as stack:
        stack.start()
        yield stack


@pytest.fixture(scope="session")
def tiers(stack: Stack, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTiers]:
    """An agent and three gateways in front of the backends of `stack`; whoever stops one starts it again."""
    with TwoTiers(tmp_path_factory.mktemp("tiers"), programs["otelcol"], stack) as tiers:
        yield tiers


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """For the tests of one file, which may renew them."""
    return Certificates.made(tmp_path_factory.mktemp("certificates"))
