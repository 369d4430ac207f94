"""Log records of a request carry its id and its baggage, whoever emits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current
from opentelemetry.sdk._logs import LogRecordProcessor

from otelext.capture.baggage import whose
from otelext.capture.failure import report
from otelext.constant import Constant
from otelext.processors.placing import RECORDS, put_once

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadWriteLogRecord


class RequestIdProcessor(LogRecordProcessor):
    """Puts `request.id` on every log record that is emitted within a request, and the named entries of baggage."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Add the attributes, before the processors behind this one take the record."""
        record = log_record.log_record
        if type(record.body) is Constant:  # our own handlers have put them there
            return
        try:
            attributes: Any = record.attributes
            for key, value in whose(record.context or get_current()).items():
                attributes.setdefault(key, value)
        except Exception:  # noqa: BLE001  # the record goes without
            report("otelext could not put the request's id or baggage on a log record", exc_info=True)

    def enabled(self, **_: Any) -> bool:
        """It emits nothing itself, so that the others decide."""
        return False

    def shutdown(self) -> None:
        """Nothing is kept."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  # the SDK's signature
        """Nothing is kept."""
        return True


def put_first(provider: Any) -> bool:
    """Put a `RequestIdProcessor` before the other processors of a logger provider, once.

    Returns:
        Whether one is there.
    """
    return put_once(getattr(provider, "_multi_log_record_processor", None), RECORDS, RequestIdProcessor)
