"""What the stack's servers know, asked by their own APIs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.stack.servers import get

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Jaeger:
    """https://www.jaegertracing.io/docs/2.13/architecture/apis/."""

    url: str

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace in Jaeger's own form, none if it is not known."""
        answer = get(f"{self.url}/api/traces/{trace_id}")
        if answer.status_code == 404:
            return []
        traces = answer.raise_for_status().json()["data"] or []
        return [span for trace in traces for span in trace["spans"]]

    def trace_with(self, service: str, attributes: Mapping[str, str]) -> list[dict[str, Any]]:
        """The spans of the one trace that has a span with these attributes, none while it is not known."""
        wanted = json.dumps(dict(attributes))
        answer = get(f"{self.url}/api/traces", service=service, tags=wanted, limit=2, lookback="1h")
        found = answer.raise_for_status().json()["data"] or []
        assert len(found) < 2, f"several traces have {wanted}"
        return [span for trace in found for span in trace["spans"]]

    def traces(self, service: str, limit: int = 1000) -> list[dict[str, Any]]:
        """The newest traces of a service."""
        answer = get(f"{self.url}/api/traces", service=service, limit=limit, lookback="1h")
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"] or []
        return found


def tags(span: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span in Jaeger's form."""
    return {tag["key"]: tag["value"] for tag in span["tags"]}


@dataclass(frozen=True)
class Prometheus:
    """https://prometheus.io/docs/prometheus/latest/querying/api/."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, each with its labels and its value."""
        answer = get(f"{self.url}/api/v1/query", query=expression)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        """The sum over the series of an instant query, 0 where there is none."""
        return sum(float(series["value"][1]) for series in self.query(expression))

    def exemplars(self, selector: str, seconds: float = 3600) -> list[dict[str, Any]]:
        """The exemplars of the series that match."""
        now = time.time()
        answer = get(f"{self.url}/api/v1/query_exemplars", query=selector, start=now - seconds, end=now + 60)
        assert answer.status_code == 200, answer.text
        return [exemplar for series in answer.json()["data"] for exemplar in series["exemplars"]]


@dataclass(frozen=True)
class Loki:
    """https://grafana.com/docs/loki/latest/reference/loki-http-api/."""

    url: str

    def lines(self, selector: str, seconds: float = 3600, limit: int = 5000) -> list[tuple[dict[str, str], str]]:
        """The labels, structured metadata included, and the line of each entry that matches."""
        now = time.time_ns()
        answer = get(
            f"{self.url}/loki/api/v1/query_range",
            query=selector,
            start=now - int(seconds * 1e9),
            end=now + 60 * 10**9,
            limit=limit,
        )
        assert answer.status_code == 200, answer.text
        return [(stream["stream"], line) for stream in answer.json()["data"]["result"] for _, line in stream["values"]]

    def count(self, selector: str, seconds: int = 3600) -> int:
        """How many entries match, past the limit on lines."""
        answer = get(f"{self.url}/loki/api/v1/query", query=f"sum(count_over_time({selector}[{seconds}s]))")
        assert answer.status_code == 200, answer.text
        return sum(int(float(series["value"][1])) for series in answer.json()["data"]["result"])
