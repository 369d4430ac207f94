from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx
import pytest

from otelext.viewer.api import api_app
from otelext.viewer.signals import TRACES
from tests.viewer import messages
from tests.viewer.running import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.viewer.store import Store
    from tests.viewer.running import RunningViewer
    from tests.viewer.service import Service

OTLP = {"http": "http://127.0.0.1:4318", "grpc": "http://127.0.0.1:4317"}


def test_health_says_what_runs(viewer: RunningViewer) -> None:
    health = viewer.get("/healthz")
    assert health["status"] == "ok"
    assert health["otlp"] == {"http": viewer.otlp_http, "grpc": viewer.otlp_grpc}


def test_the_start_page_points_at_the_report(viewer: RunningViewer) -> None:
    page = httpx.get(viewer.url, trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
    assert f"otelext report --url {viewer.url}" in page.text


def test_the_start_page_carries_no_markup_of_its_host(store: Store) -> None:
    host = "[fe80::1%<script>]:8321"  # an address, by its zone
    answer = ask(api_app(store, "0.0.0.0", OTLP), "GET", "/", headers={"host": host})
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_a_trace_is_answered_whole(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    sender = service()
    sender.infer()
    sender.flush()
    (found,) = viewer.get("/api/inferences")["inferences"]
    trace = viewer.get(f"/api/traces/{found['trace_id'].upper()}")
    assert [span["name"] for span in trace["spans"]] == ["chat tiny-vlm", "preprocess", "prefill", "decode"]
    assert trace["spans"][0]["events"][0]["name"] == "first_token"
    assert trace["spans"][1]["parent_id"] == found["span_id"]


def test_inferences_are_paged_without_gap_or_repetition(store: Store) -> None:
    request = messages.traces(25)
    spans = request.resource_spans[0].scope_spans[0].spans
    for i, span in enumerate(spans):
        span.end_time_unix_nano = span.start_time_unix_nano + i // 4  # several end at the same moment
    store.submit(TRACES.flatten(request, 1).rows).result(30)
    store.submit(TRACES.flatten(request, 2).rows).result(30)  # sent twice
    seen: list[str] = []
    app = api_app(store, "127.0.0.1", OTLP)
    query = {"limit": "10"}
    while True:
        answer = ask(app, "GET", "/api/inferences", params=query).json()
        seen += [found["span_id"] for found in answer["inferences"]]
        if answer["next"] is None:
            break
        query["cursor"] = answer["next"]
    assert sorted(seen) == sorted(span.span_id.hex() for span in spans)


def test_inferences_can_be_filtered(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    from otelext.semconv import Outcome

    sender = service()
    sender.infer(model="a")
    sender.infer(model="b")
    sender.infer(model="b", outcome=Outcome.ERROR)
    sender.flush()
    assert len(viewer.get("/api/inferences", model="b")["inferences"]) == 2
    (found,) = viewer.get("/api/inferences", model="b", outcome="error")["inferences"]
    assert (found["model"], found["outcome"]) == ("b", "error")


def test_inferences_can_be_those_of_some_services(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    for name in ("a", "b", "c"):
        sender = service(name=name)
        sender.infer()
        sender.flush()
    found = viewer.get("/api/inferences", service=["a", "c"])["inferences"]
    assert sorted(inference["service"] for inference in found) == ["a", "c"]
    assert viewer.get("/api/report", service="b")["requests"]["services"] == ["b"]
    for path in ("/api/inferences", "/api/report"):
        answer = httpx.get(f"{viewer.url}{path}?service=d", trust_env=False)
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            "no service 'd' has sent anything; known: 'a', 'b', 'c'",
        )


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/api/report?since=yesterday", 400, "since: 'yesterday' is no duration"),
        ("/api/report?slowest=0", 400, "slowest is '0', must be a whole number from 1 to 50"),
        ("/api/inferences?limit=100000", 400, "must be a whole number from 1 to 1000"),
        ("/api/inferences?limit=0000000010", 400, "must be a whole number from 1 to 1000"),
        ("/api/inferences?limit=0000000019999999", 400, "must be a whole number from 1 to 1000"),
        ("/api/inferences?limit=²", 400, "must be a whole number"),
        ("/api/inferences?cursor=x", 400, "must be the `next` of an answer before"),
        ("/api/traces/xyz", 400, "must be 32 hexadecimal digits"),
        (f"/api/traces/{os.urandom(16).hex()}", 404, "nothing is known of"),
    ],
)
def test_a_bad_question_says_what_would_be_right(receiver: RunningViewer, path: str, status: int, text: str) -> None:
    answer = httpx.get(f"{receiver.url}{path}", trust_env=False)
    assert answer.status_code == status
    assert text in answer.json()["error"]


@pytest.mark.parametrize("path", ["/api/report", "/healthz", "/"])
@pytest.mark.parametrize(
    ("bound", "host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1:8321", True),
        ("127.0.0.1", "localhost:8321", True),
        ("127.0.0.1", "LOCALHOST", True),
        ("127.0.0.1", "[::1]:8321", True),
        ("127.0.0.1", "evil.example:8321", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "192.168.0.7:8321", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "localhost:<script>", False),
        ("127.0.0.1", "[::1]<script>", False),
        ("127.0.0.1", "localhost:8321:1", False),
        ("192.168.0.7", "192.168.0.7:8321", True),
        ("0.0.0.0", "192.168.0.7:8321", True),
        ("0.0.0.0", "evil.example", False),
        ("viewer.internal", "viewer.internal:8321", True),
    ],
)
def test_only_hosts_that_are_this_server_s_are_answered(
    store: Store, path: str, bound: str, host: str, allowed: bool
) -> None:
    answer = ask(api_app(store, bound, OTLP), "GET", path, headers={"host": host})
    assert answer.status_code == (200 if allowed else 421)
