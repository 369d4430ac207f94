"""What holds for every test: no setting of the developer's shell steers them, and the time limits suit a busy machine."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pathlib import Path

# Before any test imports the SDK, which reads some of its variables at import time.
for name in [name for name in os.environ if name.startswith(("OTEL_", "OTELEXT_", "DOCUMENT_VLM_"))]:
    del os.environ[name]

# A shell without job control starts what runs in the background deaf to Ctrl-C, and every program of a test would be too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline an example would measure the machine's other load; pytest-timeout bounds the whole test.
settings.register_profile("otelext", deadline=None, print_blob=True)
settings.load_profile("otelext")


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio; one that holds for trio too is parametrised with this fixture's name."""
    return "asyncio"


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for NVIDIA's library, compiled once."""
    from otelext.testing import nvml

    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("the stand-in for NVML is compiled on Linux, with cc")
    return nvml.build(tmp_path_factory.mktemp("nvml"))
