"""Small programs, each in a process of its own, as configuring logging holds for a whole process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

START = """
import logging, logging.config, os, sys
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
EXPORTER = InMemoryLogRecordExporter()
_logs.set_logger_provider(LoggerProvider())
_logs.get_logger_provider().add_log_record_processor(SimpleLogRecordProcessor(EXPORTER))
from otelext.logs.install import install
"""
END = """
import json
print(json.dumps([[data.instrumentation_scope.name, data.log_record.body] for data in EXPORTER.get_finished_logs()]))
"""


@dataclass(frozen=True)
class Ended:
    """What a program left.

    Attributes:
        exported: Logger and body of each log record that the SDK got.
        lines: JSON lines on standard error.
        other: What else was there.
    """

    exported: list[tuple[str, str]]
    lines: list[dict[str, Any]]
    other: str

    @property
    def bodies(self) -> list[str]:
        return [line["body"] for line in self.lines]


def run(folder: Path, code: str, **env: str) -> Ended:
    """Run a program out of a file, so that its literals are those of a source."""
    file = folder / "program.py"
    file.write_text(START + code + END)
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env}
    found = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False, env=given)
    assert found.returncode == 0, found.stderr
    lines, other = [], []
    for line in found.stderr.splitlines():
        if line.startswith("{"):
            lines.append(json.loads(line))
        else:
            other.append(line)
    exported = [(name, body) for name, body in json.loads(found.stdout.splitlines()[-1])]
    return Ended(exported, lines, "\n".join(other))
