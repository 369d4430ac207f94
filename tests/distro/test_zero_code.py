"""`opentelemetry-instrument uvicorn app:app`: traces, metrics and logs, with the design's settings and no code."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import httpx
import pytest

from otelext import semconv

if TYPE_CHECKING:
    from tests.distro.processes import Service
    from tests.otlp_receiver import OtlpReceiver, Span


def get(service: Service, path: str, request_id: str | None = None) -> tuple[httpx.Response, str]:
    """Ask, with a request id that is returned too, so that a test finds its own spans."""
    request_id = request_id or uuid.uuid4().hex
    headers = {"x-request-id": request_id}
    return httpx.get(f"{service.url}{path}", headers=headers, timeout=20, trust_env=False), request_id


def server_spans(receiver: OtlpReceiver, request_id: str) -> list[Span]:
    return [s for s in receiver.spans if s.kind == "SERVER" and s.attributes.get(semconv.REQUEST_ID) == request_id]


def trace_of(receiver: OtlpReceiver, request_id: str, *expected: str) -> dict[str, Span]:
    """All spans of a request's trace by name, once those that are expected have come."""

    def found() -> dict[str, Span]:
        return {
            span.name: span
            for server in server_spans(receiver, request_id)
            for span in receiver.spans
            if span.message.trace_id == server.message.trace_id
        }

    receiver.wait_for(lambda: server_spans(receiver, request_id) and set(expected) <= set(found()), str(expected))
    return found()


def test_one_request_gives_traces_metrics_and_logs(shared_service: Service, shared_receiver: OtlpReceiver) -> None:
    _, request_id = get(shared_service, "/stream")
    spans = trace_of(shared_receiver, request_id, "GET /stream", "chat m")
    assert spans["chat m"].message.parent_span_id == spans["GET /stream"].message.span_id
    _, request_id = get(shared_service, "/log")
    shared_receiver.wait_for(lambda: shared_receiver.last_points(semconv.TTFT.name), "a time to first token")
    shared_receiver.wait_for(
        lambda: (
            server_spans(shared_receiver, request_id)
            and any(record.attributes.get(semconv.REQUEST_ID) == request_id for record in shared_receiver.logs)
        ),
        "a span and a log record with the request's id",
    )
    mine = [r for r in shared_receiver.logs if r.attributes.get(semconv.REQUEST_ID) == request_id]
    (record,) = (r for r in mine if r.scope == "service")
    (server,) = server_spans(shared_receiver, request_id)
    assert record.body == "said in a request"
    assert (record.trace_id, record.span_id) == (server.message.trace_id, server.message.span_id)


def test_a_warning_still_reaches_the_terminal_where_nobody_configured_logging(shared_service: Service) -> None:
    get(shared_service, "/log")
    assert "said in a request" in shared_service.output


def test_a_streamed_answer_of_500_chunks_is_one_server_span(
    shared_service: Service, shared_receiver: OtlpReceiver
) -> None:
    answer, request_id = get(shared_service, "/stream?count=500")
    assert answer.text.count("token") == 500
    spans = trace_of(shared_receiver, request_id, "GET /stream", "chat m")
    assert set(spans) == {"GET /stream", "chat m"}
    assert len(server_spans(shared_receiver, request_id)) == 1
    assert spans["chat m"].attributes["vlm.output.chunks"] == 500


def test_conventions_are_the_stable_ones(shared_service: Service, shared_receiver: OtlpReceiver) -> None:
    _, request_id = get(shared_service, "/sql?secret=x")
    spans = trace_of(shared_receiver, request_id, "GET /sql", "SELECT")
    assert spans["GET /sql"].attributes["http.request.method"] == "GET"
    assert "http.method" not in spans["GET /sql"].attributes
    assert spans["SELECT"].attributes["db.operation.name"] == "SELECT"
    assert not {"db.operation", "db.statement", "db.query.text"} & set(spans["SELECT"].attributes)


def test_sql_spans_stand_below_their_stage_without_values(
    shared_service: Service, shared_receiver: OtlpReceiver
) -> None:
    secret = uuid.uuid4().hex
    answer, request_id = get(shared_service, f"/sql?secret={secret}")
    assert answer.json() == {"length": 32}
    spans = trace_of(shared_receiver, request_id, "GET /sql", "chat m", "fetch", "SELECT")
    assert spans["SELECT"].message.parent_span_id == spans["fetch"].message.span_id
    assert spans["fetch"].message.parent_span_id == spans["chat m"].message.span_id
    holders = {name for name, span in spans.items() if secret in str(span.message)}
    assert holders <= {"GET /sql"}, "the SERVER span has the query string, nothing else the value"


def test_metrics_carry_the_catalogues_attributes_and_buckets(
    shared_service: Service, shared_receiver: OtlpReceiver
) -> None:
    get(shared_service, "/stream")
    shared_receiver.wait_for(lambda: shared_receiver.last_points(semconv.TTFT.name), "a time to first token")
    for point in shared_receiver.points:
        if point.metric in semconv.METRICS:
            assert set(point.attributes) <= semconv.METRICS[point.metric].attribute_keys
    point = shared_receiver.last_points(semconv.TTFT.name)[0]
    assert tuple(point.message.explicit_bounds) == semconv.TTFT_BUCKETS
    assert any(point.metric == semconv.TTFT.name and point.message.exemplars for point in shared_receiver.points)


def test_every_process_has_an_instance_id(shared_service: Service, shared_receiver: OtlpReceiver) -> None:
    get(shared_service, "/stream")
    shared_receiver.wait_for(lambda: shared_receiver.spans and shared_receiver.points, "spans and metrics")
    resources = [s.resource for s in shared_receiver.spans] + [p.resource for p in shared_receiver.points]
    (instance,) = {resource["service.instance.id"] for resource in resources}
    assert str(uuid.UUID(instance)) == instance


# --- the request's id ------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["0123456789abcdef", "A" * 64, str(uuid.UUID(int=7))])
def test_a_well_formed_request_id_is_kept(shared_service: Service, shared_receiver: OtlpReceiver, given: str) -> None:
    answer, _ = get(shared_service, "/answer", given)
    assert answer.headers["x-request-id"] == given
    spans = trace_of(shared_receiver, given, "GET /answer", "chat m")
    assert spans["chat m"].attributes[semconv.REQUEST_ID] == given


@pytest.mark.parametrize("given", ["short", "a" * 65, "has spaces in its middle", "semi;colon;semi;colon"])
def test_a_malformed_request_id_is_replaced(shared_service: Service, shared_receiver: OtlpReceiver, given: str) -> None:
    answer, _ = get(shared_service, "/answer", given)
    made = answer.headers["x-request-id"]
    assert uuid.UUID(made).hex == made
    assert trace_of(shared_receiver, made, "GET /answer")


def test_an_id_of_the_applications_own_is_not_doubled(shared_service: Service) -> None:
    answer, _ = get(shared_service, "/own-id")
    assert answer.headers.get_list("x-request-id") == ["of-the-application"]


def test_the_answer_to_an_unhandled_error_carries_the_id(
    shared_service: Service, shared_receiver: OtlpReceiver
) -> None:
    answer, request_id = get(shared_service, "/error")
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, request_id)
    server = trace_of(shared_receiver, request_id, "GET /error")["GET /error"]
    assert server.message.status.code == 2
    said = "Exception in ASGI application"  # by the server, outside of all middlewares
    shared_receiver.wait_for(lambda: any(record.body == said for record in shared_receiver.logs), said)
    (record,) = (record for record in shared_receiver.logs if record.body == said)
    assert record.attributes[semconv.REQUEST_ID] == request_id
    assert (record.trace_id, record.span_id) == (server.message.trace_id, server.message.span_id)


def test_a_mounted_application_belongs_to_the_same_request(
    shared_service: Service, shared_receiver: OtlpReceiver
) -> None:
    answer, request_id = get(shared_service, "/mounted/answer")
    assert answer.headers.get_list("x-request-id") == [request_id]
    spans = trace_of(shared_receiver, request_id, "chat m")
    assert spans["chat m"].attributes[semconv.REQUEST_ID] == request_id
