"""OTLP written past otelext's SDK, with a secret at each place that can hold one."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any, Final

from otelext import semconv
from tests.stack import otlp_json
from tests.stack.otlp_json import attributes

# A name that every list allows, and which therefore may not carry anything but a flat value.
ALLOWED: Final = "vlm.document_type"
# By which gateways know what Collectors say of themselves; any library may call itself so.
COLLECTORS_SCOPES: Final = (
    "go.opentelemetry.io/collector/receiver/otlpreceiver",
    "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver",
)
LINES: Final = 4 + len(COLLECTORS_SCOPES)


class Canary:
    """What was sent under one service, with a secret of its own at each place, and a value that must arrive."""

    def __init__(self, service: str, url: str) -> None:
        self.service = service
        self.secrets: dict[str, str] = {}
        self.arriving = f"arriving-{secrets.token_hex(8)}"
        self.out_of_reach = f"secret{secrets.token_hex(8)}"
        self.trace_id = otlp_json.trace_id()
        for signal, message in (("traces", self._traces()), ("metrics", self._metrics()), ("logs", self._logs())):
            answer = otlp_json.post(url, signal, message)
            assert answer.status_code == 200, answer.text
            assert not answer.json().get("partialSuccess"), answer.text

    @property
    def metric_prefix(self) -> str:
        return self.service.replace("-", "_")

    def _secret(self, place: str) -> str:
        return self.secrets.setdefault(place, f"secret{secrets.token_hex(8)}")

    def _values(self, place: str) -> list[dict[str, Any]]:
        """Attributes of one place: a name that is on no list, and whatever can hide below one that is."""
        return attributes(
            {
                # A name of its own, as some backends keep one value of a name, wherever it came from.
                f"patient.{place}": self._secret(f"{place}: attribute"),
                self._secret(f"{place}: attribute's name"): "x",
                "http.route": {"nested": {"deeper": self._secret(f"{place}: map")}},
                "gen_ai.response.finish_reasons": ["stop", {"why": self._secret(f"{place}: map in a list")}],
                "db.collection.name": [["a", self._secret(f"{place}: list in a list")]],
                ALLOWED: self.arriving,
            }
        )

    def _resource(self, signal: str) -> dict[str, Any]:
        name = attributes({semconv.SERVICE_NAME: self.service})
        return {"attributes": [*name, *self._values(f"{signal}, resource")]}

    def _scope(self, signal: str) -> dict[str, Any]:
        return {"name": "by hand", "attributes": self._values(f"{signal}, scope")}

    def _traces(self) -> dict[str, Any]:
        span = otlp_json.span(self.trace_id, "read")
        span["attributes"] = [*attributes({semconv.EXEMPLAR: True}), *self._values("span")]
        span["events"] = [
            {
                "timeUnixNano": span["endTimeUnixNano"],
                "name": "exception",
                "attributes": [
                    *self._values("event"),
                    *attributes(
                        {
                            "exception.type": "ValueError",
                            "exception.message": self._secret("event: exception's message"),
                            "exception.stacktrace": self._secret("event: exception's stack trace"),
                        }
                    ),
                ],
            }
        ]
        span["links"] = [{"traceId": self.trace_id, "spanId": "1" * 16, "attributes": self._values("link")}]
        span["traceState"] = f"vendor={self._secret('trace state')}"
        span["status"] = {"code": otlp_json.ERROR, "message": self._secret("status message")}
        scope = {"scope": self._scope("traces"), "spans": [span]}
        return {"resourceSpans": [{"resource": self._resource("traces"), "scopeSpans": [scope]}]}

    def _metrics(self) -> dict[str, Any]:
        begun, now = str(time.time_ns() - 10**9), str(time.time_ns())
        exemplar = {
            "timeUnixNano": now,
            "asDouble": 0.3,
            "traceId": self.trace_id,
            "spanId": "1" * 16,
            "filteredAttributes": self._values("exemplar"),
        }

        def point(place: str, **more: Any) -> dict[str, Any]:
            values = self._values(f"point of a {place}")
            return {"startTimeUnixNano": begun, "timeUnixNano": now, "attributes": values, **more}

        def metric(kind: str, **data: Any) -> dict[str, Any]:
            metadata = attributes({"note": self._secret(f"metadata of a {kind}")})
            name = f"{self.metric_prefix}.{kind}"
            # Of the gauge alone, as a unit becomes part of the name.
            return {"name": name, "metadata": metadata, "unit": self._secret("unit") if kind == "gauge" else "", **data}

        cumulative = {"aggregationTemporality": 2}
        distribution = {"count": "1", "sum": 0.3, "exemplars": [exemplar]}
        found = [
            metric(
                "counter",
                sum={
                    **cumulative,
                    "isMonotonic": True,
                    "dataPoints": [point("counter", asDouble=1.0, exemplars=[exemplar])],
                },
            ),
            metric("gauge", gauge={"dataPoints": [point("gauge", asDouble=1.0)]}),
            metric(
                "histogram",
                histogram={
                    **cumulative,
                    "dataPoints": [
                        point("histogram", **distribution, explicitBounds=[0.5], bucketCounts=["1", "0"]),
                    ],
                },
            ),
            metric(
                "reached",
                histogram={
                    **cumulative,
                    "dataPoints": [
                        {
                            "startTimeUnixNano": begun,
                            "timeUnixNano": now,
                            **distribution,
                            "explicitBounds": [0.5],
                            "bucketCounts": ["1", "0"],
                            # Few enough characters for Prometheus, which else keeps the ids alone.
                            "exemplars": [
                                {**exemplar, "filteredAttributes": attributes({"patient": self.out_of_reach})}
                            ],
                        }
                    ],
                },
            ),
            metric(
                "exponential",
                exponentialHistogram={
                    **cumulative,
                    "dataPoints": [
                        point(
                            "exponential histogram",
                            **distribution,
                            scale=0,
                            zeroCount="0",
                            positive={"offset": -2, "bucketCounts": ["1"]},
                        )
                    ],
                },
            ),
            metric(
                "summary",
                summary={
                    "dataPoints": [
                        point("summary", count="1", sum=0.3, quantileValues=[{"quantile": 0.5, "value": 0.3}])
                    ]
                },
            ),
        ]
        scopes: list[dict[str, Any]] = [{"scope": self._scope("metrics"), "metrics": found}]
        for n, name in enumerate(COLLECTORS_SCOPES):
            points = [point(f"counter of {name}", asDouble=1.0)]
            claimed = {"name": f"{self.metric_prefix}.claimed.{n}", "sum": {**cumulative, "dataPoints": points}}
            scopes.append({"scope": {**self._scope(f"metrics, {name}"), "name": name}, "metrics": [claimed]})
        return {"resourceMetrics": [{"resource": self._resource("metrics"), "scopeMetrics": scopes}]}

    def _logs(self) -> dict[str, Any]:
        def record(place: str, body: Any) -> dict[str, Any]:
            return {
                "timeUnixNano": str(time.time_ns()),
                "severityNumber": 9,
                "severityText": self._secret(f"severity of the {place}"),
                "traceId": self.trace_id,
                "attributes": [
                    *self._values(f"log record, {place}"),
                    *attributes(
                        {
                            name: self._secret(f"{name} of the {place}")
                            for name in ("error", "endpoint", "state", "log.file.name", "log.file.path")
                        }
                    ),
                ],
                "body": attributes({"": body})[0]["value"],
            }

        records = [
            record("text", f"text {self._secret('body: text')}"),
            record("JSON", json.dumps({"text": self._secret("body: JSON")})),
            record("map", {"text": self._secret("body: map"), self._secret("body: map's name"): 1}),
            record("list", [self._secret("body: list")]),
        ]
        scopes: list[dict[str, Any]] = [{"scope": self._scope("logs"), "logRecords": records}]
        for name in COLLECTORS_SCOPES:
            claimed = [record(f"claimed of {name}", f"text {self._secret(f'body: {name}')}")]
            scopes.append({"scope": {**self._scope(f"logs, {name}"), "name": name}, "logRecords": claimed})
        return {"resourceLogs": [{"resource": self._resource("logs"), "scopeLogs": scopes}]}
