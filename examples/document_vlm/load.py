"""A bounded load of real documents: `python -m document_vlm.load --url http://127.0.0.1:8000`.

Most clients read quickly; some hang up midway, some send broken files, some read a fixed number of bytes a second.
Each slow reader has a twin that asks the same and reads quickly, so that the two can be compared.
"""

from __future__ import annotations

import argparse
import base64
import functools
import io
import itertools
import json
import queue
import random
import sys
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .client import BROKEN, HANGING_UP, QUICK, SLOW, TWIN, Client, Outcome, Request
from .documents import Truth, samples
from .language import MODEL

EVENTS: Final = "text/event-stream"
ANSWER_TOKENS: Final = 64
LONG_ANSWER_TOKENS: Final = 400
"""Of a slow reader's answer: about 95 kB of events, many times what the small buffers hold."""
SLOW_BYTES_PER_SECOND: Final = 3000.0
SLOW_RECEIVE_BUFFER: Final = 1024


@dataclass(frozen=True)
class Mix:
    """How many requests of each behaviour, and how many clients send them.

    Attributes:
        quick: Documents read to the end as fast as they come.
        slow: Slow readers; each brings a twin.
        hanging_up: Clients that close midway.
        broken: Broken files, as many kinds as there are in `broken_files`, in turn.
        clients: Concurrent clients; each slow reader is a further one of its own.
        seed: Of the order.
    """

    quick: int = 18
    slow: int = 3
    hanging_up: int = 4
    broken: int = 5
    clients: int = 2
    seed: int = 7

    @property
    def total(self) -> int:
        """Requests in all."""
        return self.quick + self.hanging_up + self.broken + 2 * self.slow


def plan(mix: Mix) -> tuple[list[Request], list[Request]]:
    """The requests of a mix: those for the common clients, in their order, and those of the slow readers."""
    documents = samples()
    # Long enough to be taken as a request id.
    run = uuid.uuid4().hex[:12]
    common = [_document(f"{QUICK}-{n:02d}-{run}", QUICK, *documents[n % len(documents)]) for n in range(mix.quick)]
    common += [
        _document(f"{HANGING_UP}-{n:02d}-{run}", HANGING_UP, *documents[n % len(documents)], hang_up_after=1200)
        for n in range(mix.hanging_up)
    ]
    kinds = itertools.cycle(broken_files())
    for number in range(mix.broken):
        data, name = next(kinds)
        body, content_type = form([(f"{name}.jpg", data)], {})
        common.append(Request(f"{BROKEN}-{number:02d}-{run}", BROKEN, "/v1/documents", content_type, body))
    random.Random(mix.seed).shuffle(common)
    # First, as the slow readers are: a reader and its twin get the same load, so that only their pace differs.
    common[:0] = [_long(f"{TWIN}-{n:02d}-{run}", TWIN, documents[n][0]) for n in range(mix.slow)]
    slow = [
        _long(
            f"{SLOW}-{n:02d}-{run}",
            SLOW,
            documents[n][0],
            bytes_per_second=SLOW_BYTES_PER_SECOND,
            receive_buffer=SLOW_RECEIVE_BUFFER,
        )
        for n in range(mix.slow)
    ]
    return common, slow


@functools.cache
def broken_files() -> list[tuple[bytes, str]]:
    """Files that can't be read, each with a name for it."""
    path, _ = samples()[0]
    whole = path.read_bytes()
    bomb = io.BytesIO()
    Image.new("1", (16_000, 12_500)).save(bomb, "PNG")
    return [
        (b"this is no image", "text"),
        (whole[: len(whole) // 2], "truncated"),
        (bomb.getvalue(), "200-megapixels"),
        (b"", "empty"),
        (bytes(range(256)) * 8, "noise"),
    ]


def form(files: Sequence[tuple[str, bytes]], fields: dict[str, str]) -> tuple[bytes, str]:
    """A multipart form with each file as `file`, and its content type."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, data in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        parts.append(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + data + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def run(client: Client, mix: Mix, ended: Callable[[Outcome], None]) -> list[Outcome]:
    """Send a mix's requests and wait for all of them.

    Args:
        client: Sends them.
        mix: How many of which.
        ended: Called in the caller's thread as each request ends.
    """
    common, slow = plan(mix)
    waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
    for request in common:
        waiting.put(request)
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                request = waiting.get_nowait()
            except queue.Empty:
                return
            outcomes.put(client.send(request))

    def work_slowly(request: Request) -> None:
        outcomes.put(client.send(request))

    threads = [threading.Thread(target=work_slowly, args=(request,), daemon=True) for request in slow]
    threads += [threading.Thread(target=work, daemon=True) for _ in range(mix.clients)]
    for thread in threads:
        thread.start()
    found = []
    for _ in range(len(common) + len(slow)):
        outcome = outcomes.get()
        ended(outcome)
        found.append(outcome)
    return found


@contextmanager
def progress(total: int, console: Console) -> Iterator[Callable[[Outcome], None]]:
    """A bar on a terminal, a line for every fifth request elsewhere."""
    if not console.is_terminal:
        done = 0

        def line(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            if done % 5 == 0 or done == total:
                console.print(f"load: {done} of {total} requests ended, the last one {outcome.behaviour}")

        yield line
        return
    with Progress(
        TextColumn("load"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
        console=console,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=total)
        yield lambda outcome: bar.update(task, advance=1, description=f"{outcome.behaviour} ended")


def summary(outcomes: Sequence[Outcome]) -> str:
    """Statuses by behaviour, in one line a behaviour."""
    counted = Counter((outcome.behaviour, outcome.status, outcome.error) for outcome in outcomes)
    return "\n".join(
        f"  {behaviour}: {number} x {'no status' if status is None else status}{f' ({error})' if error else ''}"
        for (behaviour, status, error), number in sorted(counted.items(), key=str)
    )


def _document(name: str, behaviour: str, path: Path, truth: Truth, hang_up_after: int | None = None) -> Request:
    fields = {"truth": json.dumps(truth.fields), "max_tokens": str(ANSWER_TOKENS)}
    body, content_type = form([(path.name, path.read_bytes())], fields)
    return Request(name, behaviour, "/v1/documents", content_type, body, EVENTS, hang_up_after=hang_up_after)


def _long(
    name: str,
    behaviour: str,
    path: Path,
    *,
    bytes_per_second: float | None = None,
    receive_buffer: int | None = None,
) -> Request:
    picture = base64.b64encode(path.read_bytes()).decode()
    body = {
        "model": MODEL,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}},
                    {"type": "text", "text": "Describe this document line by line, in detail."},
                ],
            }
        ],
        "max_tokens": LONG_ANSWER_TOKENS,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return Request(
        name,
        behaviour,
        "/v1/chat/completions",
        "application/json",
        json.dumps(body).encode(),
        EVENTS,
        bytes_per_second=bytes_per_second,
        receive_buffer=receive_buffer,
    )


def main() -> int:
    """Send the load; the exit status is 0 when every request ended as its behaviour says."""
    defaults = Mix()
    parser = argparse.ArgumentParser(prog="python -m document_vlm.load", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--logs", type=Path, help="directory for the clients' logs (default: a new temporary one)")
    for name in ("quick", "slow", "hanging_up", "broken", "clients"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    options = vars(parser.parse_args())
    address = urlsplit(options.pop("url"))
    logs = options.pop("logs") or Path(tempfile.mkdtemp(prefix="document_vlm-load-"))
    logs.mkdir(parents=True, exist_ok=True)
    mix = Mix(**options)
    console = Console(soft_wrap=True, highlight=False)
    with progress(mix.total, console) as ended:
        outcomes = run(Client(address.hostname or "127.0.0.1", address.port or 80, logs), mix, ended)
    console.print(summary(outcomes))
    console.print(f"the clients' logs are in {logs}")
    return 0 if not failures(outcomes) else 1


def failures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Requests that did not end as their behaviour says: 4xx for broken files, 200 for all others."""
    return [
        outcome
        for outcome in outcomes
        if outcome.error is not None
        or outcome.status is None
        or (outcome.behaviour == BROKEN) != (400 <= outcome.status < 500)
        or (outcome.behaviour != BROKEN and outcome.status != 200)
    ]


if __name__ == "__main__":
    sys.exit(main())
