"""The telemetry against the engine's own clock and the clients' own logs."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import statistics

import pytest

from document_vlm.check import timings_of
from document_vlm.client import Request
from document_vlm.documents import samples
from document_vlm.language import MODEL
from otelext import semconv
from tests.examples.serving import Service, document, named, until

ROUNDS = 3
EVENTS = "text/event-stream"


def chat(name: str, text: str, tokens: int) -> Request:
    """A request for a streamed answer of so many tokens."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return Request(name, "quick", "/v1/chat/completions", "application/json", json.dumps(body).encode(), EVENTS)


@pytest.fixture(scope="module")
def answered(service: Service):
    """Inferences of several documents, with the engine's own timings."""
    found = []
    for number in range(ROUNDS):
        page = samples()[number][0].read_bytes()
        request = document(named("figures"), page, EVENTS, max_tokens="32", ignore_eos="true")
        outcome = service.client.send(request)
        found.append((service.inference(outcome.name), timings_of(outcome)))
    return found


def test_prefill_is_the_engines_prompt_time_with_its_first_token(service: Service, answered):
    differences = [service.stages(inference)["prefill"] - timings["prompt_ms"] / 1e3 for inference, timings in answered]
    assert abs(statistics.median(differences)) < 0.005, differences


def test_tpot_is_the_engines_generation_time_without_its_first_token(answered):
    ratios = [
        inference["attributes"][semconv.TIME_PER_OUTPUT_TOKEN]
        / (timings["predicted_ms"] / 1e3 / (timings["predicted_n"] - 1))
        for inference, timings in answered
    ]
    assert abs(statistics.median(ratios) - 1) < 0.03, ratios


def test_usage_is_what_the_engine_reports(answered):
    for inference, timings in answered:
        attributes = inference["attributes"]
        assert attributes[semconv.OUTPUT_TOKENS] == timings["predicted_n"] == 32
        assert attributes[semconv.TOKEN_COUNT_SOURCE] == semconv.TOKEN_SOURCE_USAGE
        cached = attributes[semconv.CACHED_INPUT_TOKENS]
        assert attributes[semconv.INPUT_TOKENS] == timings["prompt_n"] + cached
        image, text = attributes[semconv.INPUT_IMAGE_TOKENS], attributes[semconv.INPUT_TEXT_TOKENS]
        assert image + text == attributes[semconv.INPUT_TOKENS]
        assert image > 30


def test_the_stages_happen_in_their_order_and_their_parts_sum_to_ttft(service: Service, answered):
    stages = ["decode_image", "preprocess", "queue", "vision_encode", "tokenize", "prefill"]
    for inference, _ in answered:
        durations = service.stages(inference)
        assert set(durations) == {*stages, "decode", "postprocess"}
        ttft = inference["attributes"][semconv.TIME_TO_FIRST_TOKEN]
        parts = sum(durations[stage] for stage in stages) + inference["attributes"][semconv.UNATTRIBUTED]
        assert parts == pytest.approx(ttft, abs=0.0005)
        assert inference["attributes"][semconv.UNATTRIBUTED] < 0.05

    def is_divided():
        # Of one collection, since the next may hold more; it may come while a batch is being recorded.
        collected = service.collection()
        rounds = collected.get(semconv.TTFT.name, ())
        total = sum(point["sum"] for point in rounds)
        parts = sum(point["value"] for point in collected.get(semconv.TTFT_STAGE_TIME.name, ()))
        return (sum(point["count"] for point in rounds) >= ROUNDS and parts == pytest.approx(total)) or None

    until(is_divided, "TTFT of all rounds, divided among the stages")


def test_a_slow_reader_raises_consumer_wait_and_not_tpot(service: Service):
    quickly = chat(named("quick"), "What is a receipt? Answer in detail.", 400)
    slowly = dataclasses.replace(quickly, name=named("slow"), bytes_per_second=5000, receive_buffer=1024)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        slow, quick = threads.map(service.client.send, [slowly, quickly])
    of_slow, of_quick = (service.inference(outcome.name)["attributes"] for outcome in (slow, quick))
    assert of_slow[semconv.CONSUMER_WAIT] == pytest.approx(slow.paused, rel=0.10)
    assert of_quick[semconv.CONSUMER_WAIT] < 1
    # The machine may have been slower during one of the two: the engine's own clock says how much.
    paces = []
    for outcome, attributes in ((slow, of_slow), (quick, of_quick)):
        timings = timings_of(outcome)
        assert timings is not None
        own = timings["predicted_ms"] / 1e3 / (timings["predicted_n"] - 1)
        paces.append(attributes[semconv.TIME_PER_OUTPUT_TOKEN] / own)
    assert paces == pytest.approx([1, 1], abs=0.03)


@pytest.mark.parametrize("accept", [EVENTS, "application/json"])
def test_a_client_that_hangs_up_is_said_to_have_and_frees_its_slot(service: Service, accept):
    page = samples()[0][0].read_bytes()
    name = named("gone")
    request = document(name, page, accept, max_tokens="900", ignore_eos="true")
    if accept == EVENTS:
        gone = service.client.send(Request(**{**vars(request), "hang_up_after": 1000}))
        assert gone.received < 10_000
    else:
        from document_vlm.client import Client

        impatient = Client(service.client._host, service.client._port, service.logs, timeout=4.0)
        assert "TimeoutError" in (impatient.send(request).error or "")
    attributes = service.inference(name)["attributes"]
    assert attributes[semconv.OUTCOME] == semconv.Outcome.CLIENT_DISCONNECTED.value
    assert 0 < attributes[semconv.OUTPUT_TOKENS] < 900
    assert attributes[semconv.INPUT_TOKENS] > 100
    # The slot is free: the next request does not wait for 900 tokens.
    after = service.client.send(chat(named("after"), "What is a bill?", 2))
    assert after.status == 200
    assert service.stages(service.inference(after.name))["queue"] < 2
