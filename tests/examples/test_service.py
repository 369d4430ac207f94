from __future__ import annotations

import base64
import concurrent.futures
import io
import json

import openai
import pytest
from PIL import Image

from document_vlm.check import events_of
from document_vlm.documents import samples
from document_vlm.language import MODEL
from otelext import semconv
from tests.examples.conftest import QUEUE
from tests.examples.damaged import broken_exif
from tests.examples.serving import Service, document, named, until

PAGE, TRUTH = samples()[1]


@pytest.fixture
def client(service: Service):
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def with_image(text: str) -> list[dict[str, object]]:
    picture = base64.b64encode(PAGE.read_bytes()).decode()
    image = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}}
    return [{"role": "user", "content": [image, {"type": "text", "text": text}]}]


def test_a_document_is_answered_with_its_critical_fields_and_kept(service: Service):
    answer = service.post(
        "/v1/documents",
        files={"file": PAGE.read_bytes()},
        data={"max_tokens": "8", "truth": json.dumps(TRUTH.fields)},
    )
    assert answer.status_code == 200
    found = answer.json()
    assert found["kind"] == TRUTH.kind
    assert {field["name"]: field["value"] for field in found["fields"]} == TRUTH.fields
    assert all(field["correct"] for field in found["fields"])
    assert found["usage"]["output_tokens"] == found["timings"]["predicted_n"] <= 8
    status, stored = service.get(f"/v1/documents/{found['id']}")
    assert status == 200
    for key in ("id", "created", "kind", "text", "answer"):
        assert stored[key] == found[key]
    assert stored["pages"] == 1


@pytest.mark.parametrize("how", [{"headers": {"Accept": "text/event-stream"}}, {"data": {"stream": "true"}}])
def test_the_same_answer_comes_in_pieces_when_asked_for(service: Service, how):
    data = {"max_tokens": "8", **how.pop("data", {})}
    answer = service.post("/v1/documents", files={"file": PAGE.read_bytes()}, data=data, **how)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert len(events) > 3
    assert "".join(event["text"] for event in events[:-1]) == events[-1]["answer"]
    assert events[-1]["fields"]


def test_a_document_may_have_several_pages(service: Service):
    pages = [("file", samples()[index][0].read_bytes()) for index in (4, 5)]
    found = service.post("/v1/documents", files=pages, data={"max_tokens": "2"}).json()
    assert "CLAIM FORM" in found["text"]
    assert "PRESCRIPTION" in found["text"]
    assert service.get(f"/v1/documents/{found['id']}")[1]["pages"] == 2


def test_an_unknown_document_is_a_404(service: Service):
    status, body = service.get("/v1/documents/0123")
    assert (status, body["error"]["code"]) == (404, "document_not_found")


def test_the_models_say_that_they_are_loaded(service: Service):
    assert service.get("/readyz") == (200, {"status": "ready"})
    assert service.get("/healthz") == (200, {"status": "ok"})

    def loaded():
        points = {p["attributes"][semconv.REQUEST_MODEL]: p["value"] for p in service.points(semconv.MODEL_LOADED.name)}
        return points if points.get(MODEL) == 1 else None

    assert until(loaded, "vlm.model.loaded") == {MODEL: 1, "pp-ocrv6": 1}


def test_the_openai_client_gets_a_completion(client):
    answer = client.chat.completions.create(model=MODEL, messages=with_image("What is this?"), max_tokens=6)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"length", "stop"}
    assert answer.usage.completion_tokens <= 6
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert [model.id for model in client.models.list()] == [MODEL]


def test_the_openai_client_gets_a_stream_with_usage_at_its_end(client):
    messages = [{"role": "user", "content": "What is this?"}]
    request = {"model": MODEL, "messages": messages, "max_tokens": 6, "stream": True}
    chunks = list(client.chat.completions.create(**request, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].usage.completion_tokens <= 6
    without = list(client.chat.completions.create(**request))
    assert all(chunk.usage is None for chunk in without)
    assert text == "".join(chunk.choices[0].delta.content or "" for chunk in without)


def test_the_openai_client_gets_errors_in_its_own_shape(client):
    messages = [{"role": "user", "content": "hello"}]
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-0", messages=messages)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as malformed:
        client.chat.completions.create(model=MODEL, messages=messages, max_tokens=0)
    assert malformed.value.code == "malformed_request"
    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 5000}])
    assert too_long.value.code == "context_length_exceeded"
    url = {"type": "image_url", "image_url": {"url": "https://example.org/page.png"}}
    with pytest.raises(openai.BadRequestError) as remote:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [url]}])
    assert "nothing is fetched" in str(remote.value)


def bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (16_000, 12_500)).save(buffer, "PNG")
    return buffer.getvalue()


def thin() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4000, 8), 255).save(buffer, "PNG")
    return buffer.getvalue()


WHOLE = PAGE.read_bytes()
BAD = {
    "text": ([b"this is no image"], {}, 415, "not_an_image", "NotAnImage"),
    "truncated": ([WHOLE[: len(WHOLE) // 2]], {}, 422, "truncated_image", "TruncatedImage"),
    "bomb": ([bomb()], {}, 413, "image_too_large", "ImageTooLarge"),
    "empty page": ([b""], {}, 400, "empty_body", "EmptyBody"),
    "five pages": ([WHOLE] * 5, {}, 413, "too_many_pages", "TooManyPages"),
    "other model": ([WHOLE], {"model": "gpt-0"}, 404, "model_not_found", "UnknownModel"),
    "thin page": ([thin()], {}, 422, "image_too_thin", "ImageTooThin"),
    "broken EXIF": ([broken_exif()], {}, 422, "truncated_image", "TruncatedImage"),
    "second page broken": ([WHOLE, b"x"], {}, 415, "not_an_image", "NotAnImage"),
    "bad number": ([WHOLE], {"max_tokens": "many"}, 400, "malformed_request", "MalformedRequest"),
    "bad truth": ([WHOLE], {"truth": '{"name": "x"}'}, 400, "malformed_request", "MalformedRequest"),
    "deep truth": ([WHOLE], {"truth": "[" * 50_000}, 400, "malformed_request", "MalformedRequest"),
}


@pytest.mark.parametrize("stream", ["true", "false"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_a_clear_refusal_and_an_inference_with_an_error(service: Service, kind, stream):
    pages, fields, status, code, error = BAD[kind]
    request_id = named("bad")
    answer = service.post(
        "/v1/documents",
        files=[("file", page) for page in pages],
        data={**fields, "stream": stream},
        headers={"X-Request-ID": request_id},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(answer.json()["error"]["message"]) > 15
    attributes = service.inference(request_id)["attributes"]
    assert attributes[semconv.OUTCOME] == semconv.Outcome.ERROR.value
    assert attributes[semconv.ERROR_TYPE].endswith(error)


@pytest.mark.parametrize("path", ["/v1/documents", "/v1/chat/completions"])
def test_an_empty_body_is_a_refusal_and_an_inference_with_an_error(service: Service, path):
    request_id = named("empty")
    answer = service.post(path, headers={"X-Request-ID": request_id})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "empty_body")
    assert service.inference(request_id)["attributes"][semconv.ERROR_TYPE].endswith("EmptyBody")


def test_a_body_that_is_too_long_is_refused_by_its_announcement_and_by_its_bytes(service: Service):
    huge = b"x" * 20_000_001

    def in_chunks():
        for start in range(0, len(huge), 1_000_000):
            yield huge[start : start + 1_000_000]

    announced = service.post("/v1/chat/completions", content=huge)
    chunked = service.post("/v1/chat/completions", content=in_chunks())
    for answer in (announced, chunked):
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"hello", {"Content-Type": "multipart/form-data; boundary=x"}),
        (b"hello", {"Content-Type": "multipart/form-data"}),
        (b"hello", {"Content-Type": "text/plain"}),
    ],
)
def test_a_form_that_can_not_be_read_is_a_400(service: Service, content, headers):
    answer = service.post("/v1/documents", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in {"malformed_request", "empty_body"}


def test_a_full_queue_is_a_503_that_says_when_to_come_back(service: Service):
    requests = [document(named("crowd"), WHOLE, max_tokens="16", ignore_eos="true") for _ in range(QUEUE + 3)]
    with concurrent.futures.ThreadPoolExecutor(len(requests)) as threads:
        outcomes = list(threads.map(service.client.send, requests))
    refused = [outcome for outcome in outcomes if outcome.status == 503]
    assert [outcome.status for outcome in outcomes].count(200) == QUEUE + 1
    assert len(refused) == 2
    for outcome in refused:
        assert json.loads(outcome.body)["error"]["code"] == "queue_full"
        attributes = service.inference(outcome.name)["attributes"]
        assert attributes[semconv.OUTCOME] == semconv.Outcome.ERROR.value
        assert attributes[semconv.ERROR_TYPE].endswith("QueueFull")


def test_retry_after_goes_with_a_503():
    from document_vlm.errors import NotReady, QueueFull

    assert all(int(error.headers["Retry-After"]) > 0 for error in (NotReady, QueueFull))


def test_critical_field_errors_are_counted_as_the_answers_say(service: Service):
    def counted(metric):
        return sum(point["value"] for point in service.points(metric.name))

    before = {metric: counted(metric) for metric in (semconv.CRITICAL_FIELD_CHECKS, semconv.CRITICAL_FIELD_ERRORS)}
    wrong = checked = 0
    for path, truth in (samples()[7], samples()[11]):
        fields = {"truth": json.dumps(truth.fields), "max_tokens": "2"}
        request = document(named("fields"), path.read_bytes(), "text/event-stream", **fields)
        result = list(events_of(service.client.send(request)))[-1]
        values = {field["name"]: field["value"] for field in result["fields"]}
        wrong += sum(values[name] != value for name, value in truth.fields.items())
        checked += len(truth.fields)
    assert 2 <= wrong < checked

    def arrived():
        # Checks first: the errors, read later, are from the same collection or a newer one.
        now = [counted(metric) - before[metric] for metric in before]
        return now if now[0] >= checked else None

    assert until(arrived, "the checks") == [checked, wrong]
