"""What an operator may choose, read once from `DOCUMENT_VLM_*`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

PREFIX: Final = "DOCUMENT_VLM_"


class BadSetting(ValueError):
    """A `DOCUMENT_VLM_*` variable holds what it can't."""


@dataclass(frozen=True)
class Settings:
    """The service's options; each is the variable `DOCUMENT_VLM_` and its name in capitals.

    Attributes:
        database_url: SQLAlchemy URL; `postgresql://` and `sqlite://` get their async drivers.
        slots: Requests that the models serve at once; the language model gets as many sequences.
        queue: Requests that may wait for a slot before one is refused with 503.
        language_threads: llama.cpp's threads.
        vision_threads: onnxruntime's threads within one operator.
        context: Tokens of prompt and answer that one slot holds.
        max_tokens: Longest answer in tokens, and the default of the OpenAI-shaped endpoint.
        max_pages: Pages of one document.
        max_pixels: Pixels of one page, checked against its header before anything is decoded.
        max_body: Bytes of one request's body.
        prompt_cache: Whether llama.cpp keeps a slot's last prompt for the next one with the same beginning.
        host: Address to listen on.
        port: TCP port to listen on; 0 takes a free one and prints it.
        send_buffer: Bytes of each connection's socket send buffer, the server's own buffer before it then being
            none; 0 leaves the defaults of system and server. Small ones let a slow reader's back-pressure show.
        shutdown_grace: Seconds that open answers have after SIGTERM.
    """

    database_url: str = "sqlite+aiosqlite:///document_vlm.db"
    slots: int = 1
    queue: int = 16
    language_threads: int = 1
    vision_threads: int = 1
    context: int = 2048
    max_tokens: int = 1024
    max_pages: int = 4
    max_pixels: int = 25_000_000
    max_body: int = 20_000_000
    prompt_cache: bool = True
    host: str = "127.0.0.1"
    port: int = 8000
    send_buffer: int = 0
    shutdown_grace: int = 10

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Settings of an environment, the process's own by default.

        Raises:
            BadSetting: A variable's value is not what its option takes, or is below its least value.
        """
        environment = os.environ if environment is None else environment
        chosen: dict[str, str | int | bool] = {}
        for option in fields(cls):
            variable = PREFIX + option.name.upper()
            text = environment.get(variable)
            if text is not None:
                chosen[option.name] = _parsed(variable, text, option.default)
        return cls(**chosen)  # type: ignore[arg-type]  # each value has its default's type


_LEAST: Final = {"QUEUE": 0, "PORT": 0, "SEND_BUFFER": 0, "SHUTDOWN_GRACE": 0}


def _parsed(variable: str, text: str, default: object) -> str | int | bool:
    if isinstance(default, bool):
        known = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in known:
            raise BadSetting(f"{variable}={text!r}: expected true or false")
        return known[text.lower()]
    if isinstance(default, int):
        least = _LEAST.get(variable.removeprefix(PREFIX), 1)
        try:
            number = int(text)
        except ValueError:
            raise BadSetting(f"{variable}={text!r}: expected a whole number") from None
        if number < least:
            raise BadSetting(f"{variable}={text!r}: expected at least {least}")
        return number
    return text
