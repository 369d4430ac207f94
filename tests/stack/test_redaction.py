"""The second line of defence: what is on no list reaches no backend, though it came past otelext's SDK."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.stack.canary import COLLECTORS_SCOPES, LINES, Canary
from tests.stack.servers import get, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Stored:
    """All that each backend tells of it."""

    sent: Canary
    texts: dict[str, str]

    def of(self, backend: str) -> str:
        return self.texts[backend]


@pytest.fixture(scope="module", params=["single", "two tiers"])
def stored(stack: Stack, request: pytest.FixtureRequest) -> Stored:
    if request.param == "single":
        sent = Canary("redacted-single", stack.otlp_http)
    else:
        tiers: TwoTiers = request.getfixturevalue("tiers")
        sent = Canary("redacted-tiers", tiers.agent.otlp_http)
    ours = f'{{service_name="{sent.service}"}}'
    span_calls = f"traces_span_metrics_calls_total{ours}"
    until(lambda: stack.jaeger.trace(sent.trace_id), "the trace", 60)
    until(lambda: len(stack.loki.lines(ours)) == LINES, "the lines", 60)
    for name in ("counter_total", *(f"claimed_{n}" for n in range(len(COLLECTORS_SCOPES)))):
        until(partial(stack.prometheus.query, f"{sent.metric_prefix}_{name}"), f"the metric {name}", 60)
    until(lambda: stack.prometheus.query(span_calls), "span_metrics' series", 60)
    prometheus = stack.prometheus.url
    everything = {"match[]": '{__name__=~".+"}'}
    return Stored(
        sent,
        {
            "jaeger": json.dumps(stack.jaeger.trace(sent.trace_id)),
            "prometheus": "".join(
                [
                    get(f"{prometheus}/api/v1/series", **everything).text,
                    get(f"{prometheus}/api/v1/metadata").text,
                    get(f"{prometheus}/api/v1/labels").text,
                    json.dumps(stack.prometheus.exemplars('{__name__=~".+"}')),
                ]
            ),
            # Not all there is: other tests wrote more lines than one answer takes.
            "loki": json.dumps([stack.loki.lines(ours), stack.loki.lines('{service_name="otelext-collector"}')]),
        },
    )


def leaked(sent: Canary, is_in: Callable[[str], bool]) -> list[str]:
    return [place for place, secret in sent.secrets.items() if is_in(secret)]


@pytest.mark.parametrize("backend", ["jaeger", "prometheus", "loki"])
def test_no_backend_tells_what_is_on_no_list(stored: Stored, backend: str) -> None:
    assert leaked(stored.sent, lambda secret: secret in stored.of(backend)) == []


@pytest.mark.parametrize("backend", ["jaeger", "prometheus", "loki"])
def test_no_backend_has_it_on_its_disk(stack: Stack, stored: Stored, backend: str) -> None:
    folder = stack.composition.folder / backend

    def content() -> bytes:
        return b"".join(written(file) for file in folder.rglob("*") if file.is_file())

    # As a search of bytes finds nothing in what is compressed beyond recognition, it has to find what is known to be there.
    until(lambda: stored.sent.arriving.encode() in content(), f"the value that must arrive, below {folder}")
    found = content()
    assert leaked(stored.sent, lambda secret: secret.encode() in found) == []


def written(file: Path) -> bytes:
    """What a file holds, without its holes: badger's are of gigabytes."""
    parts: list[bytes] = []
    with file.open("rb") as content:
        end = 0
        while True:
            try:
                begin = os.lseek(content.fileno(), end, os.SEEK_DATA)
            except OSError:
                return b"".join(parts)
            end = os.lseek(content.fileno(), begin, os.SEEK_HOLE)
            content.seek(begin)
            parts.append(content.read(end - begin))


def test_the_collectors_own_output_is_silent_about_it(
    stack: Stack, stored: Stored, request: pytest.FixtureRequest
) -> None:
    collectors = [stack.collector]
    if "tiers" in request.node.name:
        tiers: TwoTiers = request.getfixturevalue("tiers")
        collectors = [tiers.agent, *tiers.gateways]
    output = "".join(collector.output for collector in collectors)
    assert leaked(stored.sent, lambda secret: secret in output) == []


def test_what_is_on_the_list_arrives_everywhere(stack: Stack, stored: Stored) -> None:
    sent = stored.sent
    (span,) = json.loads(stored.of("jaeger"))
    flat = json.dumps
    assert sent.arriving in flat(span["tags"])
    assert sent.arriving in flat(span["process"]["tags"] if "process" in span else stored.of("jaeger"))
    (event,) = span["logs"]
    assert sent.arriving in flat(event)
    assert "ValueError" in flat(event)
    for kind, suffix in (
        ("counter", "_total"),
        ("gauge", ""),
        ("histogram", "_bucket"),
        ("exponential", ""),
        ("summary", "_sum"),
        *((f"claimed_{n}", "") for n in range(len(COLLECTORS_SCOPES))),
    ):
        (*series,) = stack.prometheus.query(f"{sent.metric_prefix}_{kind}{suffix}")
        assert series, kind
        assert {one["metric"]["vlm_document_type"] for one in series} == {sent.arriving}, kind
    exemplars = stack.prometheus.exemplars(f"{sent.metric_prefix}_histogram_bucket")
    assert [exemplar["labels"]["trace_id"] for exemplar in exemplars] == [sent.trace_id]
    lines = stack.loki.lines(f'{{service_name="{sent.service}"}} | trace_id="{sent.trace_id}"')
    assert [labels["vlm_document_type"] for labels, _ in lines] == [sent.arriving] * LINES
    assert {line for _, line in lines} == {"[redacted]"}


def test_attributes_of_exemplars_are_out_of_the_collectors_reach(stack: Stack, stored: Stored) -> None:
    """As collector/README.md says. Once this fails, they can be redacted, and belong among the secrets above."""
    (exemplar,) = stack.prometheus.exemplars(f"{stored.sent.metric_prefix}_reached_bucket")
    assert exemplar["labels"]["patient"] == stored.sent.out_of_reach
