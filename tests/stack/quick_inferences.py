"""Many short inferences, whose models answer at once, for `opentelemetry-instrument`.

`quick_inferences.py INFERENCES` is a program that makes so many and ends. `quick_inferences:app` makes one a request,
but for `/ready`, and answers with the id of its process. Beside otelext's metrics there is a histogram of another library's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics

import otelext

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS = 25
# Less than fits into the SDK's queue of spans.
ROUND = 1000
READY = "/ready"


@otelext.inference("chat", model=lambda model: model, provider="here")
def answer(model: str) -> Iterator[str]:
    with otelext.stage("prefill"):
        pass
    with otelext.stage("decode"):
        for word in ("a", "few", "words"):
            lengths.record(len(word), {"model": model})
            yield word


def main() -> None:
    inferences = int(sys.argv[1])
    for number in range(inferences):
        for _ in answer(f"model-{number % MODELS}"):
            pass
        if number % ROUND == ROUND - 1:
            assert otelext.force_flush(60)
    assert otelext.force_flush(60)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application."""
    if scope["type"] != "http":
        return
    if scope["path"] != READY:
        for _ in answer("model-0"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


lengths = metrics.get_meter("a.library").create_histogram("library.words", unit="{letter}")
if __name__ == "__main__":
    main()
