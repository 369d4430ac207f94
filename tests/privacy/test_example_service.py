"""The example service reads documents that hold secrets, and tells nobody."""

from __future__ import annotations

import io
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image, ImageDraw, ImageFont

from document_vlm.language import MODEL
from otelext import semconv
from tests.distro.processes import BIN, environment, free_port, serving
from tests.privacy.places import KOREAN, RESIDENT_NUMBER, TEXT, a_secret
from tests.privacy.running import LOG_FILE, ROOT, Left, Receiver, read
from tests.privacy.traces_of import DIGITS, said

if TYPE_CHECKING:
    from tests.privacy.traces_of import Secret

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the example's models are installed on Linux")


@pytest.fixture(scope="module")
def answers() -> list[Any]:
    return []


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, answers: list[Any]) -> Left:
    """What left the example service after it read a page with a number on it."""
    folder = tmp_path_factory.mktemp("example")
    secrets: dict[str, Secret] = {
        "number on the page": a_secret(RESIDENT_NUMBER),
        "file name": a_secret(TEXT),
        "prompt": a_secret(KOREAN),
        "field of the form": a_secret(TEXT),
        "user agent": a_secret(TEXT),
        "query string": a_secret(TEXT),
        "path": a_secret(TEXT),
        "malformed number": a_secret(TEXT),
        "comment in the image": a_secret(TEXT),
        "prompt of a chat": a_secret(TEXT),
        "address of an image": a_secret(TEXT),
    }
    with Receiver() as receiver:
        left = Left(secrets, receiver)
        env = environment(
            receiver.endpoint,
            PYTHONPATH=f"{ROOT}:{ROOT / 'examples'}",
            DOCUMENT_VLM_DATABASE_URL=f"sqlite:///{folder / 'documents.db'}",
            DOCUMENT_VLM_CONTEXT="1024",
            OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="",
            OTELEXT_LOG_FORMAT="json",
            OTELEXT_LOG_FILE=str(folder / LOG_FILE),
        )
        port = free_port()
        command = [str(BIN / "opentelemetry-instrument"), "python", "-m", "document_vlm.serve", "--port", str(port)]
        with serving(command, port, env, folder / "output") as service:
            with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
                _until_ready(client)
                answers.append(_ask(client, secrets))
            service.stop()
            left.output, left.file = service.output, read(folder / LOG_FILE)
    return left


def test_no_secret_of_a_document_leaves(example: Left, answers: list[Any]) -> None:
    assert str(example.secrets["number on the page"])[:DIGITS] in answers[0]["text"].replace(" ", ""), "it was read"
    assert not example.traces, f"secrets left:\n{said(example.traces)}"


def test_what_the_service_says_of_its_documents_arrives(example: Left) -> None:
    names = {span.name for span in example.receiver.spans}
    assert {f"chat {MODEL}", "decode_image", "vision_encode", "prefill", "POST /v1/documents"} <= names
    assert example.receiver.total(semconv.INFERENCES.name, vlm_outcome="completed") == 1
    assert {"both models are loaded"} <= {record.body for record in example.receiver.logs}
    assert any("both models are loaded" in record.values() for record in example.records)


def _until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline, "the models are not loaded after a minute"
        time.sleep(0.05)


def _ask(client: httpx.Client, secrets: dict[str, Secret]) -> Any:
    s = {name: str(secret) for name, secret in secrets.items()}
    page = _page(f"Number {s['number on the page']}", s["comment in the image"])
    answer = client.post(
        "/v1/documents",
        params={"q": s["query string"]},
        files={"file": (f"{s['file name']}.png", page, "image/png")},
        data={
            "prompt": s["prompt"],
            "max_tokens": "4",
            "patient": s["field of the form"],
            "truth": json.dumps({"amount": s["number on the page"]}),
        },
        headers={"user-agent": s["user agent"]},
    )
    assert answer.status_code == 200, answer.text
    assert client.get(f"/v1/documents/{s['path']}").status_code == 404
    refused = client.post("/v1/documents", files={"file": page}, data={"max_tokens": s["malformed number"]})
    assert refused.status_code == 400
    asked = {"role": "user", "content": [{"type": "text", "text": s["prompt of a chat"]}]}
    image = {"type": "image_url", "image_url": {"url": f"https://clinic.example/{s['address of an image']}.png"}}
    asked["content"].append(image)  # type: ignore[attr-defined]
    assert client.post("/v1/chat/completions", json={"model": MODEL, "messages": [asked]}).status_code == 400
    return answer.json()


def _page(text: str, comment: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    image = Image.new("L", (900, 400), 255)
    draw = ImageDraw.Draw(image)
    for line, written in enumerate(("RECEIPT", text, "TOTAL 12,500")):
        draw.text((60, 60 + 100 * line), written, fill=0, font=ImageFont.load_default(48))
    info = PngInfo()
    info.add_text("Comment", comment)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
