"""`/v1/chat/completions` in OpenAI's shape: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response

from .answering import Answering
from .errors import BodyTooLarge, EmptyBody, MalformedRequest, RequestError
from .language import MODEL, Generated, Sampling
from .question import Page, Question, Reply, Turn
from .streaming import EventStream, Pieces, all_of, event, first_of, limited, unless_gone, with_first


class ImageUrl(BaseModel):
    """Where an image is; only `data:` URIs are read."""

    url: str


class Part(BaseModel):
    """One part of a message's content."""

    type: Literal["text", "image_url"]
    text: str = ""
    image_url: ImageUrl | None = None


class ChatMessage(BaseModel):
    """One message."""

    role: Literal["system", "user", "assistant", "developer"]
    content: str | list[Part]


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What of OpenAI's request is understood, and `ignore_eos` as llama.cpp and vLLM have it; the rest is ignored."""

    model: str = Field(min_length=1, max_length=128)
    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    seed: int = 0
    n: Literal[1] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False


def router(answering: Answering) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The model that is served."""
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "document_vlm"}]}

    @routes.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        """Answer a conversation that may hold images."""
        question, asked = await _question(request, answering)
        reply = Reply()
        pieces: Pieces = answering.answer(question, reply)
        if asked is None or not asked.stream:
            await unless_gone(request, all_of(pieces))
            return JSONResponse(_completion(reply))
        first = await unless_gone(request, first_of(pieces))
        with_usage = asked.stream_options is not None and asked.stream_options.include_usage
        return EventStream(_events(with_first(pieces, first), reply, with_usage=with_usage))

    return routes


async def _question(request: Request, answering: Answering) -> tuple[Question, ChatRequest | None]:
    """The question of a body; what is wrong with it is kept in the question, which is then an inference too."""
    try:
        asked = await _body(request, answering.settings.max_body)
    except RequestError as error:
        return Question(refused=error), None
    most = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    try:
        turns = tuple(Turn(_role(message), _parts(message)) for message in asked.messages)
    except RequestError as error:
        return Question(model=asked.model, refused=error), asked
    sampling = Sampling(
        max_tokens=answering.settings.max_tokens if most is None else most,
        temperature=asked.temperature,
        seed=asked.seed,
        ignore_eos=asked.ignore_eos,
    )
    return Question(turns=turns, sampling=sampling, model=asked.model), asked


async def _body(request: Request, most: int) -> ChatRequest:
    error = BodyTooLarge(f"the body is longer than the {most} bytes allowed")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise error
    body = await Request(request.scope, limited(request.receive, most, error)).body()
    if not body.strip():
        raise EmptyBody("the request has no body; send a chat completion request in JSON")
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as invalid:
        said = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in invalid.errors())
        raise MalformedRequest(said) from None


def _role(message: ChatMessage) -> str:
    return "system" if message.role == "developer" else message.role


def _parts(message: ChatMessage) -> tuple[str | Page, ...]:
    if isinstance(message.content, str):
        return (message.content,)
    return tuple(_page(part) if part.type == "image_url" else part.text for part in message.content)


def _page(part: Part) -> Page:
    url = part.image_url.url if part.image_url is not None else ""
    head, comma, data = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        raise MalformedRequest(f"image_url must be a data: URI in base64, not {url[:40]!r}; nothing is fetched")
    try:
        return Page(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        raise MalformedRequest(f"image_url is no valid base64: {error}") from None


def _usage(generated: Generated) -> dict[str, Any]:
    return {
        "prompt_tokens": generated.prompt_tokens,
        "completion_tokens": generated.completion_tokens,
        "total_tokens": generated.prompt_tokens + generated.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": generated.cached_tokens},
    }


def _completion(reply: Reply) -> dict[str, Any]:
    generated = reply.generated
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": generated and generated.finish_reason,
    }
    return {
        "id": f"chatcmpl-{reply.id}",
        "object": "chat.completion",
        "created": reply.created,
        "model": MODEL,
        "choices": [choice],
        "usage": generated and _usage(generated),
        "timings": generated and asdict(generated.timings),
    }


async def _events(pieces: Pieces, reply: Reply, *, with_usage: bool) -> AsyncGenerator[bytes, None]:
    head = {
        "id": f"chatcmpl-{reply.id}",
        "object": "chat.completion.chunk",
        "created": reply.created,
        "model": MODEL,
    }

    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        return event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    try:
        role: dict[str, str] = {"role": "assistant"}
        async for piece in pieces:
            yield chunk({**role, "content": piece})
            role = {}
        generated = reply.generated
        yield chunk(role, generated.finish_reason if generated else "stop")
        if with_usage and generated:
            yield event({**head, "choices": [], "usage": _usage(generated), "timings": asdict(generated.timings)})
        yield event("[DONE]")
    except RequestError as error:
        yield event(error.body())
    finally:
        await pieces.aclose()
