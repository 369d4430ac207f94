"""What `otelext collector validate` found: one fault of a configuration, and the rule that it breaks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from otelext.pipeline.yaml_tree import Place

Severity = Literal["error", "warning", "note"]
"""`error`: the Collector does not start, or data goes nowhere. `warning`: it runs, and loses, leaks or misleads.
`note`: it works today."""


@dataclass(frozen=True)
class Rule:
    """What is looked for, and why it matters."""

    id: str
    severity: Severity
    title: str
    why: str


@dataclass(frozen=True)
class Finding:
    """One fault."""

    rule: Rule
    place: Place
    message: str
    instead: str
    """What to write instead."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `rule`, `severity`, `file`, `line`, `message`, `why`, `instead`."""
        return {
            "rule": self.rule.id,
            "severity": self.rule.severity,
            **asdict(self.place),
            "message": self.message,
            "why": self.rule.why,
            "instead": self.instead,
        }
