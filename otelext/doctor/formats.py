"""A report for programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otelext.doctor.examination import Report
    from otelext.doctor.finding import Finding


def as_json(report: Report) -> dict[str, Any]:
    """What `--json` prints.

    `healthy`: whether nothing is broken. `time`: when it began, RFC 3339. `seconds`: how long it took. `trace_id`: of the
    canary. `findings`: one a check, with the fields of `Finding`, the `command` of its `next_step` alone,
    and, where the canary was seen, `seconds`.
    """
    began = datetime.fromtimestamp(report.began, timezone.utc)
    return {
        "healthy": report.healthy,
        "time": began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "seconds": round(report.seconds, 3),
        "trace_id": report.canary.trace_id,
        "findings": [_finding(one) for one in report.findings],
    }


def _finding(one: Finding) -> dict[str, Any]:
    fields = asdict(one)
    took = fields.get("seconds")
    return {
        **fields,
        "command": one.command,
        "evidence": list(one.evidence),
        "seconds": None if took is None else round(took, 3),
    }
