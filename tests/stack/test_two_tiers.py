"""An agent, three gateways that sample, and Jaeger: what is kept is whole, whatever became of a gateway meanwhile."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from otelext import Outcome, semconv
from tests.stack import otlp_json
from tests.stack.collectors import Collector
from tests.stack.reliability import GATEWAY_KILLED, Figures, record
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

SPANS = 5
EACH = 20  # traces of each kind that is always kept
PLAIN = 4000  # traces of which one in a hundred is kept
REQUESTS = 40

# What makes a trace one that is always kept, on one of its spans: attributes, and the span's status.
KEPT: dict[str, tuple[dict[str, Any], int]] = {
    "error": ({}, otlp_json.ERROR),
    "slow": ({semconv.OUTCOME: "completed", semconv.TIME_TO_FIRST_TOKEN: 2.5}, 0),
    "exemplar": ({semconv.EXEMPLAR: True}, 0),
    "canary": ({semconv.CANARY: True}, 0),
    **{f"outcome {o.value}": ({semconv.OUTCOME: o.value}, 0) for o in Outcome if o is not Outcome.COMPLETED},
}
USUAL = {semconv.OUTCOME: "completed", semconv.TIME_TO_FIRST_TOKEN: 0.05}


def spans_of(kind: str, trace_id: str) -> list[dict[str, Any]]:
    """Children and then their root, as services send them; what makes the trace worth keeping is on one of them."""
    values, status = KEPT.get(kind, (USUAL, 0))
    root = otlp_json.span(trace_id, kind)
    children = [otlp_json.span(trace_id, kind, parent=root["spanId"]) for _ in range(SPANS - 2)]
    return [otlp_json.span(trace_id, kind, values, parent=root["spanId"], status=status), *children, root]


def send(to: Collector, service: str, spans: list[dict[str, Any]], requests: int) -> None:
    """In requests of which each has spans of many traces, and none all of one."""
    size = -(-len(spans) // requests)
    for begin in range(0, len(spans), size):
        message = otlp_json.traces(spans[begin : begin + size], {semconv.SERVICE_NAME: service})
        assert otlp_json.post(to.otlp_http, "traces", message).status_code == 200


def kept(stack: Stack, service: str) -> dict[str, int]:
    """How many spans Jaeger has of each trace."""
    return {trace["traceID"]: len(trace["spans"]) for trace in stack.jaeger.traces(service, limit=PLAIN)}


@dataclass(frozen=True)
class Sent:
    service: str
    always_kept: dict[str, str]  # trace id to kind
    plain: set[str]


@pytest.fixture(scope="module")
def sent(tiers: TwoTiers) -> Sent:
    service = "interleaved"
    kinds = {otlp_json.trace_id(): kind for kind in KEPT for _ in range(EACH)}
    plain = {otlp_json.trace_id() for _ in range(PLAIN)}
    traces = {trace_id: spans_of(kinds.get(trace_id, "plain"), trace_id) for trace_id in [*kinds, *plain]}
    order = [trace_id for trace_id, spans in traces.items() for _ in spans]
    random.Random(4).shuffle(order)
    # Each trace's spans in their order, those of all traces mixed.
    send(tiers.agent, service, [traces[trace_id].pop(0) for trace_id in order], REQUESTS)
    return Sent(service, kinds, plain)


def test_what_must_be_kept_is_kept_whole(stack: Stack, sent: Sent) -> None:
    def missing() -> Counter[str]:
        found = kept(stack, sent.service)
        return Counter(kind for trace_id, kind in sent.always_kept.items() if found.get(trace_id) != SPANS)

    until(lambda: not missing(), lambda: f"a trace, or a span of one, of {dict(missing())}", 60)


def test_of_the_rest_a_share_is_kept_whole(stack: Stack, sent: Sent) -> None:
    def share() -> list[int]:
        return [spans for trace_id, spans in kept(stack, sent.service).items() if trace_id in sent.plain]

    until(lambda: len(share()) >= PLAIN * 0.004, "traces that chance keeps", 60)
    until(lambda: set(share()) == {SPANS}, "a span of a trace that chance keeps")
    assert len(share()) <= PLAIN * 0.02


def test_all_spans_of_a_trace_land_on_one_gateway(stack: Stack, tiers: TwoTiers) -> None:
    service = "one-gateway"
    names = [f"trace {n}" for n in range(30)]
    traces = [spans_of(name, otlp_json.trace_id()) for name in names]
    # In turn, so that no request has two spans of one trace.
    send(tiers.agent, service, [spans[turn] for turn in range(SPANS) for spans in traces], SPANS)

    def counted() -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for series in stack.prometheus.query(f'traces_span_metrics_calls_total{{service_name="{service}"}}'):
            labels = series["metric"]
            found[labels["span_name"]][labels["collector_instance_id"]] = float(series["value"][1])
        return found

    until(lambda: sum(sum(c.values()) for c in counted().values()) == len(names) * SPANS, "calls of each span", 60)
    assert {tuple(by_gateway.values()) for by_gateway in counted().values()} == {(SPANS,)}
    assert len({gateway for by_gateway in counted().values() for gateway in by_gateway}) == len(tiers.gateways)


@pytest.fixture
def _all_run_again(tiers: TwoTiers) -> Iterator[None]:
    yield
    for gateway in tiers.gateways:
        if not gateway.is_running:
            gateway.start()


@pytest.mark.usefixtures("_all_run_again")
def test_what_comes_while_a_gateway_is_gone_is_kept_whole_once_it_is_back(stack: Stack, tiers: TwoTiers) -> None:
    service = "killed-gateway"
    errors = [otlp_json.trace_id() for _ in range(60)]
    spans = [
        span for spans in zip(*(spans_of("error", trace_id) for trace_id in errors), strict=True) for span in spans
    ]
    killed = tiers.gateways[0]
    killed.kill()
    send(tiers.agent, service, spans, 10)
    until(lambda: "Exporting failed" in tiers.agent.output, "word of the agent's that a gateway is gone")
    # Killed while it holds what nobody has decided on, the agent loses nothing either.
    tiers.agent.kill()
    tiers.agent.start()
    killed.start()
    until(lambda: kept(stack, service) == dict.fromkeys(errors, SPANS), "a trace, or a span of one", 60)


@pytest.mark.usefixtures("_all_run_again")
def test_a_killed_gateway_loses_what_it_had_not_decided_on_and_no_more(stack: Stack, tiers: TwoTiers) -> None:
    service = "undecided"
    traces = [spans_of("undecided", otlp_json.trace_id()) for _ in range(60)]
    before, roots = (
        [trace[:-1] for trace in traces],
        [{**trace[-1], "status": {"code": otlp_json.ERROR}} for trace in traces],
    )
    sent = sum(map(len, before))
    send(tiers.agent, service, [span for spans in before for span in spans], 10)
    calls = f'traces_span_metrics_calls_total{{service_name="{service}"}}'
    # Without their roots these traces wait for a minute.
    until(lambda: stack.prometheus.value(calls) == sent, f"{sent} spans at the gateways")
    held = Counter(float(series["value"][1]) for series in stack.prometheus.query(calls))
    tiers.gateways[1].kill()
    tiers.gateways[1].start()
    send(tiers.agent, service, roots, 10)
    until(lambda: len(kept(stack, service)) == len(traces), "a root", 60)
    found = Counter(kept(stack, service).values())
    assert found.keys() == {1, SPANS}
    lost = found[1] * (SPANS - 1)
    assert lost in held
    record(GATEWAY_KILLED, Figures("spans", sent + len(roots), found[SPANS] * SPANS + found[1], 0, lost, 0))


@pytest.mark.usefixtures("_all_run_again")
def test_a_gateway_that_is_stopped_decides_on_what_it_holds(stack: Stack, tiers: TwoTiers) -> None:
    service = "stopped-gateway"
    errors = [otlp_json.trace_id() for _ in range(60)]
    for gateway, its_own in zip(tiers.gateways, (errors[:20], errors[20:40], errors[40:]), strict=True):
        spans = [span for trace_id in its_own for span in spans_of("error", trace_id)]
        send(gateway, service, spans, 1)
        gateway.stop()
        gateway.start()
    until(lambda: kept(stack, service) == dict.fromkeys(errors, SPANS), "a trace, or a span of one", 60)


@pytest.mark.usefixtures("_all_run_again")
def test_a_gateway_that_is_gone_holds_all_traces_up_until_it_is_off_the_list(
    stack: Stack, tiers: TwoTiers, programs: dict[str, Path], tmp_path: Path
) -> None:
    """As docs/pipeline.md says. Once the first half fails, living gateways get theirs, and the page can say so."""
    gone = tiers.gateways[2]
    way = tiers.way_to_gateways()
    service = "gateway-gone"
    errors: list[str] = []

    def more(agent: Collector) -> None:
        """A batch, of which each gateway has to get a part."""
        trace_ids = [otlp_json.trace_id() for _ in range(30)]
        send(agent, service, [span for trace_id in trace_ids for span in spans_of("error", trace_id)], 1)
        errors.extend(trace_ids)
        time.sleep(0.5)

    def counted() -> float:
        return stack.prometheus.value(f'traces_span_metrics_calls_total{{service_name="{service}"}}')

    gone.kill()
    with Collector("left", programs["otelcol"], ["agent.yaml"], tmp_path, way) as agent:
        for _ in range(12):
            more(agent)
        # Each of the four consumers holds a batch, and has brought at most the living gateways' parts of it to them.
        until(lambda: "Exporting failed" in agent.output, "word of the agent's that a gateway is gone")
        time.sleep(5)
        assert counted() <= 4 * 30 * SPANS
    left = ", ".join(gateway.otlp_grpc for gateway in tiers.gateways if gateway is not gone)
    with Collector("left", programs["otelcol"], ["agent.yaml"], tmp_path, {**way, "GATEWAYS": f"[{left}]"}) as agent:
        more(agent)
        until(lambda: kept(stack, service) == dict.fromkeys(errors, SPANS), "a trace, or a span of one", 60)
        agent.stop(10)  # as an agent can't while a gateway of its list is down
