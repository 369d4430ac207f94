"""The example's models and its running service, started once for all tests of the folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.examples.serving import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from document_vlm.language import Language
    from document_vlm.vision import Vision

# Tests are compared with the engine's own clock: two threads each would fight for a small machine's cores.
QUEUE = 1


@pytest.fixture(scope="session")
def vision() -> Vision:
    from document_vlm.vision import Vision

    return Vision(threads=1)


@pytest.fixture(scope="session")
def language() -> Language:
    from document_vlm.language import Language

    return Language(slots=1, threads=1, context=1024, prompt_cache=True)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    options = {"DOCUMENT_VLM_QUEUE": str(QUEUE), "DOCUMENT_VLM_SEND_BUFFER": "2048"}
    with Service(folder, {**os.environ, **options}) as running:
        yield running
