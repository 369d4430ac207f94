"""Findings as SARIF, which code reviews show at their lines.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from otelext._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelext.pipeline.finding import Finding, Rule

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(findings: Sequence[Finding], rules: Sequence[Rule]) -> dict[str, Any]:
    """A log with one run.

    Args:
        findings: The results.
        rules: All rules that were applied, found broken or not.
    """
    ids = [rule.id for rule in rules]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "otelext collector validate",
                        "semanticVersion": __version__,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, ids) for finding in findings],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(finding: Finding, ids: list[str]) -> dict[str, Any]:
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": ids.index(finding.rule.id),
        "level": finding.rule.severity,
        "message": {"text": f"{finding.message}. {finding.rule.why} Instead: {finding.instead}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(PurePath(finding.place.file).as_posix())},
                    "region": {"startLine": finding.place.line},
                }
            }
        ],
    }
