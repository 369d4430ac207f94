"""A server that speaks OpenAI's chat completions over real HTTP and answers with a few words."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "tiny-vl"
WORDS = ("the ", "amount ", "is ", "12.50")
PROMPT_TOKENS = 11
COMPLETION_TOKENS = len(WORDS)
DELAY_S = 0.02
"""What the server takes before the first word and, streaming, before each further one: the latency it stands for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:  # http.server's name
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["model"] != MODEL:
            self._answer(404, {"error": {"message": "no such model", "type": "not_found"}})
            return
        time.sleep(DELAY_S)
        if asked.get("stream"):
            self._stream(with_usage=bool((asked.get("stream_options") or {}).get("include_usage")))
            return
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        self._answer(200, {**_frame("chat.completion"), "choices": [choice], "usage": _usage()})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, *, with_usage: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for index, word in enumerate(WORDS):
            if index:
                time.sleep(DELAY_S)
            self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": word}}]})
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if with_usage:
            self._event({"choices": [], "usage": _usage()})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, body: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps({**_frame("chat.completion.chunk"), **body}).encode() + b"\n\n")


def _frame(kind: str) -> dict[str, Any]:
    return {"id": "answer-1", "object": kind, "created": 1, "model": MODEL}


def _usage() -> dict[str, int]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    }


@contextmanager
def openai_server() -> Iterator[str]:
    """Serve on a free port of the loopback interface.

    Yields:
        The base URL for a client.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
