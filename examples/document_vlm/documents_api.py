"""`/v1/documents`: pages in a multipart form, an answer and the critical fields back."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from .answering import Answering
from .critical_fields import AMOUNT, DATE, KCD_CODE
from .errors import BodyTooLarge, EmptyBody, MalformedRequest, RequestError
from .language import MODEL, Sampling
from .question import Page, Question, Reply, Turn
from .store import Store
from .streaming import EventStream, Pieces, all_of, event, first_of, limited, unless_gone, with_first

PROMPT: Final = "Describe this document: what it is, its date, and what it asks to be paid or taken."
SYSTEM: Final = "You read scanned documents and answer about them."
ANSWER_TOKENS: Final = 96
_EXTRA_FORM_BYTES: Final = 65_536


def router(answering: Answering, store: Store) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.post("/v1/documents")
    async def read_document(request: Request) -> Response:
        """Read a document. Form: `file` (once a page), `prompt`, `model`, `max_tokens`, `stream`, `truth`."""
        question, stream = await _question(request, answering.settings.max_body)
        reply = Reply()
        pieces: Pieces = answering.answer(question, reply)
        if not stream:
            await unless_gone(request, all_of(pieces))
            return JSONResponse(_result(reply))
        first = await unless_gone(request, first_of(pieces))
        return EventStream(_events(with_first(pieces, first), reply))

    @routes.get("/v1/documents/{identity}")
    async def stored_document(identity: str) -> dict[str, Any]:
        """A document that was read before."""
        return await store.get(identity)

    return routes


async def _question(request: Request, most: int) -> tuple[Question, bool]:
    """The question of a form, and whether its answer is to be streamed.

    What is wrong with the form is kept in the question: the refused request is an inference too.
    """
    stream = "text/event-stream" in request.headers.get("accept", "")
    try:
        form = await _form(request, most)
        if "stream" in form:
            stream = _flag(form, "stream")
        return await _asked(form), stream
    except RequestError as error:
        return Question(is_document=True, refused=error), stream


async def _form(request: Request, most: int) -> FormData:
    announced = request.headers.get("content-length", "")
    error = BodyTooLarge(f"the body is longer than the {most} bytes allowed")
    if announced.isdigit() and int(announced) > most:
        raise error
    if announced == "0" or not request.headers.get("content-type"):
        raise EmptyBody("the request has no body; send a multipart form with at least one page as `file`")
    if not request.headers["content-type"].startswith("multipart/form-data"):
        raise MalformedRequest(f"Content-Type is {request.headers['content-type']!r}; send multipart/form-data")
    try:
        return await Request(request.scope, limited(request.receive, most, error)).form(max_part_size=_EXTRA_FORM_BYTES)
    except HTTPException as malformed:
        raise MalformedRequest(f"the form can't be read: {malformed.detail}") from malformed


async def _asked(form: FormData) -> Question:
    pages = [Page(await part.read()) for _, part in form.multi_items() if isinstance(part, UploadFile)]
    if not pages:
        raise EmptyBody("the form has no page; send at least one image as `file`")
    sampling = Sampling(max_tokens=_number(form, "max_tokens", ANSWER_TOKENS), ignore_eos=_flag(form, "ignore_eos"))
    return Question(
        turns=(Turn("system", (SYSTEM,)), Turn("user", (*pages, _text(form, "prompt", PROMPT)))),
        sampling=sampling,
        model=_text(form, "model", MODEL)[:128],
        truth=_truth(form),
        is_document=True,
    )


def _text(form: FormData, name: str, default: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) and value else default


def _number(form: FormData, name: str, default: int) -> int:
    text = _text(form, name, str(default))
    try:
        return int(text)
    except ValueError:
        raise MalformedRequest(f"{name}={text!r} is not a whole number") from None


def _flag(form: FormData, name: str) -> bool:
    text = _text(form, name, "false").lower()
    if text not in {"true", "false", "1", "0"}:
        raise MalformedRequest(f"{name}={text!r} is neither true nor false")
    return text in {"true", "1"}


def _truth(form: FormData) -> dict[str, str] | None:
    text = _text(form, "truth", "")
    if not text:
        return None
    try:
        truth = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"truth can't be read as JSON: {error}") from None
    known = {AMOUNT, DATE, KCD_CODE}
    if not isinstance(truth, dict) or not all(k in known and isinstance(v, str) for k, v in truth.items()):
        raise MalformedRequest(f"truth must be an object of strings with keys out of {sorted(known)}")
    return truth


def _result(reply: Reply) -> dict[str, Any]:
    """The whole answer. `timings` are the language engine's own, in milliseconds, named as llama.cpp names them."""
    generated = reply.generated
    return {
        "id": reply.id,
        "created": reply.created,
        "kind": reply.kind,
        "confidence": reply.confidence,
        "text": "\n".join(reply.lines),
        "answer": reply.text,
        "fields": [
            {**asdict(field), "correct": None if reply.correct is None else reply.correct.get(field.name)}
            for field in reply.fields
        ],
        "finish_reason": generated and generated.finish_reason,
        "usage": generated
        and {
            "input_tokens": generated.prompt_tokens,
            "cached_input_tokens": generated.cached_tokens,
            "output_tokens": generated.completion_tokens,
        },
        "timings": generated and asdict(generated.timings),
    }


async def _events(pieces: Pieces, reply: Reply) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in pieces:
            yield event({"id": reply.id, "text": piece}, "piece")
        yield event(_result(reply), "result")
    except RequestError as error:
        yield event(error.body(), "error")
    finally:
        await pieces.aclose()
