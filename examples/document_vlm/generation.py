"""One answer on its way from the engine's thread to the event loop, measured where it is made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import otelext

from .language import Generated, Heard, Language, Sampling

if TYPE_CHECKING:
    from .slots import Slot


class Generation:
    """Runs the engine in a slot's thread and hands its pieces to the loop.

    Tokens and stages are stamped in the engine's thread, at the moment the engine brings them: what a client, a
    socket or the loop does afterwards is not the engine's time. The engine does not wait for the client, so that
    a slow reader holds no slot; what it has not read yet, at most `max_tokens` pieces, waits here.

    Args:
        language: The loaded model.
        prompt: Its tokens.
        sampling: How the answer is drawn.
    """

    def __init__(self, language: Language, prompt: Sequence[int], sampling: Sampling) -> None:
        self._language = language
        self._prompt = prompt
        self._sampling = sampling
        self._inference = otelext.current_inference()
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._stop = threading.Event()
        self._stage: AbstractContextManager[None] | None = None
        self._started = False
        self.generated: Generated | None = None

    async def pieces(self, slot: Slot) -> AsyncGenerator[str, None]:
        """The answer's text, a piece for each token or few; `generated` is set when it has ended.

        Raises:
            PromptTooLong: The conversation does not fit into a slot.
            EngineFailed: The engine reports any other error.
        """
        job = slot.start(self._run)
        slot.leave()  # free as soon as the engine is done, whenever the last piece is read
        try:
            while (piece := await self._pieces.get()) is not None:
                yield piece
            self.generated = await asyncio.wrap_future(job)
        finally:
            self._stop.set()

    def _run(self) -> Generated | None:
        self._enter("prefill")
        try:
            return self._language.generate(self._prompt, self._sampling, self._hear)
        finally:
            self._leave()
            self._to_loop(None)

    def _hear(self, heard: Heard) -> bool:
        if heard.tokens:
            self._inference.add_tokens(heard.tokens)
        if not self._started:
            self._started = True
            self._leave()
            self._enter("decode")
            self._inference.set_usage(input_tokens=heard.prompt_tokens, cached_input_tokens=heard.cached_tokens)
        if heard.text:
            self._to_loop(heard.text)
        return self._stop.is_set()

    def _enter(self, name: str) -> None:
        self._stage = self._inference.stage(name)
        self._stage.__enter__()

    def _leave(self) -> None:
        if self._stage is not None:
            self._stage.__exit__(None, None, None)
            self._stage = None

    def _to_loop(self, piece: str | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
        except RuntimeError:
            # The loop is closed: nobody reads any more.
            self._stop.set()
