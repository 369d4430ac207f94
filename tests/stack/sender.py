"""A sender that knows the fate of every request, since it sends each once."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import httpx

from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from typing_extensions import Self

    from tests.stack.signals import Signal
    from tests.stack.stack import Stack


class Sender:
    """Sends numbered requests of one signal over OTLP/HTTP, as a context manager, in a thread of its own.

    Args:
        signal: What is sent.
        stack: Where to.
        service: Name of the service that it stands for.
        items: Spans, data points or log records a request.
        padding: Bytes more an item.
        interval: Seconds between two requests.
    """

    def __init__(
        self, signal: Signal, stack: Stack, service: str, *, items: int = 10, padding: int = 0, interval: float = 0.005
    ) -> None:
        self.signal = signal
        self.service = service
        self.items = items
        self.accepted: set[int] = set()
        # With the answer's status.
        self.refused: dict[int, int] = {}
        # Nobody listened, so nobody has it.
        self.unreachable: set[int] = set()
        # The connection broke before the answer: it may be stored, and need not be.
        self.unanswered: set[int] = set()
        self._padding = padding
        self._interval = interval
        self._url = stack.otlp_http + signal.path
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sender of {signal.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), f"the {self._thread.name} hangs"

    @property
    def sent(self) -> int:
        """Requests that have a fate."""
        return len(self.accepted) + len(self.refused) + len(self.unreachable) + len(self.unanswered)

    def _run(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            n = 0
            while not self._ended.wait(self._interval):
                n += 1
                self._send(client, n)

    def _send(self, client: httpx.Client, n: int) -> None:
        body = self.signal.request(self.service, n, self.items, self._padding)
        try:
            answer = client.post(self._url, content=body, headers={"content-type": "application/x-protobuf"})
        except httpx.ConnectError:
            self.unreachable.add(n)
        except httpx.TransportError:
            self.unanswered.add(n)
        else:
            if answer.status_code == 200:
                # An empty message: nothing of it was rejected.
                assert answer.content in {b"", b"\n\x00"}, answer.content
                self.accepted.add(n)
            else:
                self.refused[n] = answer.status_code


def until_each(
    senders: Iterable[Sender],
    question: Callable[[Sender], bool],
    what: str | Callable[[Sender], str],
    seconds: float = 60,
) -> None:
    """Wait until it is true of each of them; `what` is missing as long as it is not."""
    for sender in senders:
        missing = f"{what}: {sender.signal.name}" if isinstance(what, str) else partial(what, sender)
        until(partial(question, sender), missing, seconds)
