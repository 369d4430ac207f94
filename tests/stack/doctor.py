"""`otelext doctor` as its user runs it: a process of its own, whose findings are read from its JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.compose.composition import ROOT
from tests.stack.composition import Command, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack.small_disk import SmallDisk
    from tests.stack.stack import Stack

# Of a user who waits no longer than he must: what is there is there within a second.
TIMEOUT_S: Final = 3
# The environment of these tests is no service's.
ELSEWHERE: Final = ("--skip", "environment")


@dataclass(frozen=True)
class Examined:
    """What one run came to.

    Attributes:
        status: The exit status.
        report: The JSON.
        seconds: That the process took.
    """

    status: int
    report: dict[str, Any]
    seconds: float

    def __getitem__(self, check: str) -> dict[str, Any]:
        (found,) = (finding for finding in self.report["findings"] if finding["check"] == check)
        return dict(found)

    @property
    def levels(self) -> dict[str, str]:
        return {finding["check"]: finding["level"] for finding in self.report["findings"]}

    @property
    def failed(self) -> set[str]:
        return {check for check, level in self.levels.items() if level == "error"}


def at(stack: Stack, endpoint: str | None = None, **more: str) -> dict[str, str]:
    """The environment of a service that sends to a stack, and of a doctor that asks its backends."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint or stack.otlp_http,
        "OTELEXT_DOCTOR_JAEGER": stack.jaeger.url,
        "OTELEXT_DOCTOR_PROMETHEUS": stack.prometheus.url,
        "OTELEXT_DOCTOR_LOKI": stack.loki.url,
        # Else a receiver that runs on this machine anyway would be found.
        **dict.fromkeys(("OTLP_GRPC_PORT", "OTLP_HTTP_PORT"), str(free_port())),
        **more,
    }


def run(
    environment: Mapping[str, str],
    *options: str,
    timeout: float = TIMEOUT_S,
    within: SmallDisk | None = None,
    skip: tuple[str, ...] = ELSEWHERE,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, as text; `within` is a disk that its machine has."""
    arguments = ["-m", "otelext.cli", "doctor", *skip, "--timeout", str(timeout), *options]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment}
    command = Command(sys.executable, arguments, variables)
    if within is not None:
        command = within.command(command)
    return subprocess.run(
        [command.binary, *command.arguments],
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def examined(
    environment: Mapping[str, str], *options: str, timeout: float = TIMEOUT_S, within: SmallDisk | None = None
) -> Examined:
    """Run it to its end, and read what it found."""
    begun = time.monotonic()
    ended = run(environment, "--json", *options, timeout=timeout, within=within)
    seconds = time.monotonic() - begun
    assert ended.returncode in {0, 1}, ended.stderr
    assert not ended.stderr, ended.stderr
    return Examined(ended.returncode, json.loads(ended.stdout), seconds)
