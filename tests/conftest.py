"""What holds for every test: no setting of the developer's shell steers them, and the time limits suit a busy machine."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Before any test imports the SDK, which reads some of its variables at import time.
for name in [name for name in os.environ if name.startswith(("OTEL_", "OTELEXT_", "DOCUMENT_VLM_"))]:
    del os.environ[name]

# A deadline an example would measure the machine's other load; pytest-timeout bounds the whole test.
settings.register_profile("otelext", deadline=None, print_blob=True)
settings.load_profile("otelext")


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio; one that holds for trio too is parametrised with this fixture's name."""
    return "asyncio"
