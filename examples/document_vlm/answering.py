"""The way of one request through the service: the one place where it is measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing

from PIL.Image import Image

import otelext
from otelext import facts

from . import critical_fields, images, language, vision
from .errors import MalformedRequest, NotReady, TooManyPages, UnknownModel
from .generation import Generation
from .language import Language
from .question import Question, Reply
from .settings import Settings
from .slots import Slots
from .store import Store
from .vision import Vision

QUEUE = "slots"


class Answering:
    """The models, the pool in front of them, and the store behind them. Belongs to one event loop."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self._store = store
        self._slots = Slots(settings.slots, settings.queue)
        self._vision: Vision | None = None
        self._language: Language | None = None
        for model in (vision.MODEL, language.MODEL):
            facts.model_loaded(model, False)
        facts.queue(QUEUE, self._slots.waiting)

    @property
    def ready(self) -> bool:
        """Whether both models are loaded."""
        return self._vision is not None and self._language is not None

    async def load(self) -> None:
        """Load both models, without blocking the loop.

        Raises:
            MissingWeights: The language model's file is not installed.
        """
        options = self.settings
        self._language = await asyncio.to_thread(
            Language,
            slots=options.slots,
            threads=options.language_threads,
            context=options.context,
            prompt_cache=options.prompt_cache,
        )
        facts.model_loaded(language.MODEL, True)
        self._vision = await asyncio.to_thread(Vision, options.vision_threads)
        facts.model_loaded(vision.MODEL, True)

    def close(self) -> None:
        """Wait for the engine's jobs and say that the models are gone."""
        self._slots.close()
        self._vision = self._language = None
        for model in (vision.MODEL, language.MODEL):
            facts.model_loaded(model, False)

    @otelext.inference("chat", model=lambda _, question, reply: question.model, provider=language.PROVIDER)  # noqa: ARG005
    async def answer(self, question: Question, reply: Reply) -> AsyncGenerator[str, None]:
        """Answer a question, piece by piece; `reply` is filled on the way.

        Raises:
            RequestError: The question can't be answered; its class says why.
        """
        if question.refused is not None:
            raise question.refused
        vision_model, language_model = self._checked(question)
        inference = otelext.current_inference()
        pages = question.pages
        pictures = await self._decoded(question) if pages else []
        with otelext.stage("preprocess"):
            arrays = await asyncio.to_thread(lambda: [images.prepare(picture) for picture in pictures])
        with otelext.stage("queue"):
            slot = await self._slots.take()
        with ExitStack() as taken:
            taken.callback(slot.leave)
            if arrays:
                with otelext.stage("vision_encode"):
                    reply.recognitions = await slot.run(lambda: [vision_model.read(array) for array in arrays])
                if (confidence := reply.confidence) is not None:
                    reply.kind = critical_fields.kind_of(reply.lines)
                    facts.confidence(confidence, document_type=reply.kind, model=vision.MODEL)
            with otelext.stage("tokenize"):
                prompt, text_tokens = await asyncio.to_thread(_tokenized, language_model, question, reply)
            inference.set_input(text_tokens=text_tokens, image_tokens=len(prompt) - text_tokens if arrays else None)
            generation = Generation(language_model, prompt, question.sampling)
            async with aclosing(generation.pieces(slot)) as pieces:
                async for piece in pieces:
                    reply.text += piece
                    yield piece
        self._say_usage(generation, reply)
        if question.is_document:
            with otelext.stage("postprocess"):
                self._judge(question, reply)
                await self._store.add(reply, pages=len(pages))

    def _checked(self, question: Question) -> tuple[Vision, Language]:
        """The loaded models, if they can take the question."""
        if question.model != language.MODEL:
            raise UnknownModel(f"the model {question.model!r} is not served here; {language.MODEL!r} is")
        if len(question.pages) > self.settings.max_pages:
            raise TooManyPages(f"{len(question.pages)} pages were sent, at most {self.settings.max_pages} are taken")
        if not 1 <= question.sampling.max_tokens <= self.settings.max_tokens:
            raise MalformedRequest(
                f"max_tokens is {question.sampling.max_tokens}; it must be 1 to {self.settings.max_tokens}"
            )
        if self._vision is None or self._language is None:
            raise NotReady("the models are still being loaded; try again in a moment")
        return self._vision, self._language

    async def _decoded(self, question: Question) -> list[Image]:
        """The pages' pictures; says what went in."""
        pages, most = question.pages, self.settings.max_pixels
        with otelext.stage("decode_image"):
            pictures = await asyncio.to_thread(lambda: [images.decode(page.data, most) for page in pages])
        inference = otelext.current_inference()
        inference.set_input(
            images=len(pages),
            pages=len(pages) if question.is_document else None,
            pixels=sum(picture.width * picture.height for picture in pictures),
        )
        inference.set_document(width=pictures[0].width, height=pictures[0].height)
        return pictures

    @staticmethod
    def _say_usage(generation: Generation, reply: Reply) -> None:
        generated = reply.generated = generation.generated
        if generated is None:
            return
        inference = otelext.current_inference()
        inference.set_usage(
            input_tokens=generated.prompt_tokens,
            output_tokens=generated.completion_tokens,
            cached_input_tokens=generated.cached_tokens,
        )
        inference.set_response(model=language.MODEL, finish_reasons=[generated.finish_reason])

    @staticmethod
    def _judge(question: Question, reply: Reply) -> None:
        """Find the critical fields, check their formats, and compare them with the truth where it is known."""
        reply.fields = critical_fields.find(reply.lines, reply.kind)
        facts.structured_output(
            bool(reply.fields) and all(field.value is not None for field in reply.fields), model=vision.MODEL
        )
        otelext.current_inference().set_document(type=reply.kind, fields=len(reply.fields))
        if question.truth:
            reply.correct = critical_fields.compare(reply.fields, question.truth)
            for name, correct in reply.correct.items():
                facts.critical_field(name, correct)
            facts.accuracy(
                sum(reply.correct.values()) / len(reply.correct), document_type=reply.kind, model=vision.MODEL
            )


def _tokenized(model: Language, question: Question, reply: Reply) -> tuple[list[int], int]:
    """The prompt, and how many of its tokens are there without what was read from the pages."""
    prompt = model.tokenize(question.messages(recognition.text for recognition in reply.recognitions))
    return prompt, len(model.tokenize(question.messages())) if reply.recognitions else len(prompt)
