"""What the zero-code tests share: a receiver, and the service under `opentelemetry-instrument`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

from tests.distro.processes import Service, environment, free_port, serving, uvicorn
from tests.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    """Entry points come with its installation; a path to its source is not enough for zero code."""
    assert any(e.name == "otelext" for e in entry_points(group="opentelemetry_distro")), "pip install -e . first"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def shared_receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def shared_service(shared_receiver: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One uvicorn for the tests of a module that don't stop it."""
    port = free_port()
    log = tmp_path_factory.mktemp("service") / "log"
    with serving(uvicorn(port), port, environment(shared_receiver.endpoint), log) as service:
        yield service


@pytest.fixture
def start(receiver: OtlpReceiver, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start servers that the test may stop; environment variables by keyword."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(command: Callable[[int], list[str]] = uvicorn, **env: str) -> Service:
            port = free_port()
            log = tmp_path / f"log-{port}"
            return stack.enter_context(serving(command(port), port, environment(receiver.endpoint, **env), log))

        yield start
