"""What the tests of logs share: handlers around one logger, what they write, and rules that hold for one test."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from otelext import semconv
from otelext.capture import failure
from otelext.logs.console import console_line
from otelext.logs.handler import OtlpHandler
from otelext.logs.lines import JsonLines
from otelext.logs.sinks import LinesHandler
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.exporters import RedactingLogRecordExporter
from otelext.processors.redaction.rules import PROCESS, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ANY_DIGITS = re.compile(r'^\S*\d\d:\d\d:\d\d\.\d{3}|"timestamp":"[^"]*"|(?:trace_id|span_id)"?[:=]"?[0-9a-f]+')
RESOURCE = {semconv.SERVICE_NAME: "reader", semconv.SERVICE_VERSION: "1.2", "host.name": "not in a line"}


class Written:
    """A sink in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line)

    def close(self) -> None:
        """Nothing is open."""


class Logged:
    """A logger of its own, and what left of what it logged: as OTLP, as JSON lines and for people."""

    def __init__(self) -> None:
        self.logger = logging.Logger("service", logging.DEBUG)  # noqa: LOG001  # under no root, where pytest listens
        self._exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(RedactingLogRecordExporter(self._exporter)))
        self._json, self._console = Written(), Written()
        self.handlers: list[Any] = [
            OtlpHandler(logger_provider=self.provider),
            LinesHandler(JsonLines(lambda: RESOURCE), self._json),
            LinesHandler(console_line, self._console),
        ]
        for handler in self.handlers:
            self.logger.addHandler(handler)

    @property
    def records(self) -> list[Any]:
        return [data.log_record for data in self._exporter.get_finished_logs()]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return list(map(json.loads, self._json.lines))

    @property
    def console(self) -> list[str]:
        return self._console.lines

    @property
    def text(self) -> str:
        """All that left, but for times and ids, whose digits may be any."""
        records = [{k: v for k, v in vars(r).items() if not k.endswith(("timestamp", "_id"))} for r in self.records]
        return "\n".join(_ANY_DIGITS.sub("", text) for text in [*self._json.lines, *self.console, *map(str, records)])

    def body(self) -> str:
        """The one message, which all three have."""
        (record,), (line,), (shown,) = self.records, self.lines, self.console
        assert record.body == line[semconv.LOG_BODY]
        assert line[semconv.LOG_BODY] in shown
        body: str = record.body
        return body


@pytest.fixture
def logged() -> Iterator[Logged]:
    found = Logged()
    yield found
    found.provider.shutdown()


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set what may leave, for one test."""

    def set_rules(*capture: str, **more: Any) -> None:
        monkeypatch.setattr(PROCESS, "rules", Rules(capture=frozenset(capture), **more))

    set_rules()
    monkeypatch.setattr(failure, "_last", {})
    return set_rules


@pytest.fixture
def counted() -> Callable[[str], int]:
    """How many of a kind were redacted in this test."""
    before = {kind: COUNTS.of(kind) for kind in semconv.REDACTED_KINDS}
    return lambda kind: COUNTS.of(kind) - before[kind]
