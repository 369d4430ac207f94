"""One real TCP client: sends a request, reads at its own pace, writes down what it did and when.

The log is the client's own account, made without any telemetry, to hold the telemetry against.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import h11

QUICK: Final = "quick"
SLOW: Final = "slow"
TWIN: Final = "twin"
HANGING_UP: Final = "hanging-up"
BROKEN: Final = "broken"


@dataclass(frozen=True)
class Request:
    """A request and how its client behaves.

    Attributes:
        name: Sent as `x-request-id` (16 to 64 letters, digits and hyphens); also the log's name.
        behaviour: `quick`, `slow`, `twin` (a slow one's request, read quickly), `hanging-up` or `broken`.
        path: Path of the URL.
        content_type: Of the body.
        body: What is sent.
        accept: Media type asked for.
        bytes_per_second: Reading pace; None reads as fast as bytes come.
        receive_buffer: SO_RCVBUF in bytes, set before connecting; None leaves the system's.
        hang_up_after: Bytes of the response after which the client closes; None reads to the end.
    """

    name: str
    behaviour: str
    path: str
    content_type: str
    body: bytes
    accept: str = "application/json"
    bytes_per_second: float | None = None
    receive_buffer: int | None = None
    hang_up_after: int | None = None


@dataclass
class Outcome:
    """What the client saw.

    Attributes:
        name: The request's.
        behaviour: The request's.
        status: HTTP status; None when there was no answer.
        received: Bytes of the response.
        first_byte: Seconds from the request to the first byte; None without one.
        seconds: From the request to the end.
        paused: Seconds after the first byte in which the client did not read, by its own choice.
        waited: Seconds after the first byte in which the client wanted to read and there was nothing.
        error: Why the connection failed, if it did.
        body: The response's body as far as it came.
    """

    name: str
    behaviour: str
    status: int | None = None
    received: int = 0
    first_byte: float | None = None
    seconds: float = 0.0
    paused: float = 0.0
    waited: float = 0.0
    error: str | None = None
    body: bytes = field(default=b"", repr=False)


class Client:
    """Sends requests to one server.

    Args:
        host: The server's address.
        port: Its port.
        logs: Directory for the logs, one file of JSON lines a request.
        timeout: Seconds without a byte after which the client gives up.
    """

    def __init__(self, host: str, port: int, logs: Path, timeout: float = 120.0) -> None:
        self._host = host
        self._port = port
        self._logs = logs
        self._timeout = timeout

    def send(self, request: Request) -> Outcome:
        """Send a request, read the answer at the request's pace, write the log. Never raises for a failed connection."""
        outcome = Outcome(request.name, request.behaviour)
        start = time.perf_counter()
        with (self._logs / f"{request.name}.jsonl").open("w") as log:

            def write(**entry: Any) -> None:  # JSON
                log.write(json.dumps({"t": round(time.perf_counter() - start, 6), **entry}) + "\n")

            try:
                with self._connected(request) as connection:
                    write(event="connected")
                    self._exchange(connection, request, outcome, start, write)
            except OSError as error:
                outcome.error = f"{type(error).__name__}: {error}"
            outcome.seconds = time.perf_counter() - start
            write(event="ended", **{key: value for key, value in asdict(outcome).items() if key != "body"})
        return outcome

    def _connected(self, request: Request) -> socket.socket:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if request.receive_buffer is not None:
                # The window is announced in the first packet: later is too late.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, request.receive_buffer)
            connection.settimeout(self._timeout)
            connection.connect((self._host, self._port))
        except OSError:
            connection.close()
            raise
        return connection

    def _exchange(
        self,
        connection: socket.socket,
        request: Request,
        outcome: Outcome,
        start: float,
        write: Any,
    ) -> None:
        http = h11.Connection(h11.CLIENT)
        head = h11.Request(
            method="POST",
            target=request.path,
            headers=[
                ("Host", f"{self._host}:{self._port}"),
                ("Content-Type", request.content_type),
                ("Content-Length", str(len(request.body))),
                ("Accept", request.accept),
                ("X-Request-ID", request.name),
                ("Connection", "close"),
            ],
        )
        parts = [http.send(head), http.send(h11.Data(request.body)), http.send(h11.EndOfMessage())]
        connection.sendall(b"".join(part for part in parts if part))
        write(event="sent", bytes=len(request.body))
        most = 65536 if request.bytes_per_second is None else max(1, int(request.bytes_per_second / 10))
        while True:
            asked = time.perf_counter()
            data = connection.recv(most)
            came = time.perf_counter()
            if outcome.first_byte is None:
                outcome.first_byte = came - start
            else:
                outcome.waited += came - asked
            outcome.received += len(data)
            write(event="read", bytes=len(data), waited=round(came - asked, 6))
            http.receive_data(data)
            if self._heard(http, outcome):
                return
            if request.hang_up_after is not None and outcome.received >= request.hang_up_after:
                write(event="hung up")
                return
            if request.bytes_per_second is not None:
                time.sleep(max(0.0, asked + len(data) / request.bytes_per_second - time.perf_counter()))
                paused = time.perf_counter() - came
                outcome.paused += paused
                write(event="paused", seconds=round(paused, 6))

    @staticmethod
    def _heard(http: h11.Connection, outcome: Outcome) -> bool:
        """Take what has come; whether the response is complete."""
        while True:
            try:
                event = http.next_event()
            except h11.RemoteProtocolError as error:
                outcome.error = f"incomplete response: {error}"
                return True
            if event is h11.NEED_DATA:
                return False
            if isinstance(event, h11.Response):
                outcome.status = event.status_code
            elif isinstance(event, h11.Data):
                outcome.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
                return True
