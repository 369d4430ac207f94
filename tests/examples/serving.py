"""A real service in a process of its own, with its telemetry in files, for the tests of this folder."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from document_vlm.client import Client, Outcome, Request
from document_vlm.load import form
from document_vlm.processes import Process
from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import TypeVar

    from typing_extensions import Self

    _T = TypeVar("_T")

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("measured_service.py")


def until(question: Callable[[], _T | None], what: str, seconds: float = 20.0) -> _T:
    """Ask until there is an answer; fails the test when time is over."""
    deadline = time.monotonic() + seconds
    while (answer := question()) is None:
        assert time.monotonic() < deadline, f"{what} is missing after {seconds} s"
        time.sleep(0.05)
    return answer


class Service:
    """The example, served by `measured_service.py` on a free port."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._spans = folder / "spans.jsonl"
        self._metrics = folder / "metrics.jsonl"
        self.logs = folder / "clients"
        self.logs.mkdir()
        self._process = Process(
            "the service",
            [sys.executable, str(SCRIPT), str(self._spans), str(self._metrics), "--port", "0"],
            folder / "service.log",
            {
                **environment,
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "examples")]),
                "PYTHONUNBUFFERED": "1",
                "DOCUMENT_VLM_DATABASE_URL": f"sqlite:///{folder / 'documents.db'}",
            },
        )
        self.url = ""

    def __enter__(self) -> Self:
        try:
            self.url = self._process.wait_for(self._address, "its address", 60)
            self._process.wait_for(self._is_ready, "a ready model", 60)
        except BaseException:
            self._process.stop()
            raise
        self.client = Client(urlsplit(self.url).hostname or "", urlsplit(self.url).port or 0, self.logs)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._process.stop()

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of a GET."""
        import httpx

        with httpx.Client(trust_env=False, timeout=30) as client:
            answer = client.get(self.url + path)
        return answer.status_code, answer.json()

    def post(self, path: str, **body: Any) -> Any:
        """The answer to a POST, as httpx gives it."""
        import httpx

        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.post(self.url + path, **body)

    def spans(self) -> list[dict[str, Any]]:
        """Every span that has ended so far."""
        return [json.loads(line) for line in self._spans.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def inference(self, request_id: str) -> dict[str, Any]:
        """The inference span of a request; waits for it."""

        def find() -> dict[str, Any] | None:
            of_request = (s for s in self.spans() if s["attributes"].get(semconv.REQUEST_ID) == request_id)
            return next((span for span in of_request if semconv.OUTCOME in span["attributes"]), None)

        return until(find, f"the inference of {request_id}")

    def stages(self, inference: dict[str, Any]) -> dict[str, float]:
        """Durations in seconds of the stages below an inference's span, by name."""
        mine = inference["context"]["span_id"]
        return {
            span["attributes"][semconv.STAGE]: seconds(span)
            for span in self.spans()
            if span["parent_id"] == mine and semconv.STAGE in span["attributes"]
        }

    def points(self, metric: str) -> list[dict[str, Any]]:
        """A metric's data points in the latest collection."""
        return self.collection().get(metric, [])

    def collection(self) -> dict[str, list[dict[str, Any]]]:
        """The data points of the latest collection by metric."""
        lines = [line for line in self._metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return {
            found["name"]: found["data"]["data_points"]
            for resource in json.loads(lines[-1])["resource_metrics"]
            for scope in resource["scope_metrics"]
            for found in scope["metrics"]
        }

    def _is_ready(self) -> bool | None:
        import httpx

        try:
            return self.get("/readyz")[0] == 200 or None
        except httpx.TransportError:  # bound, and not yet listening
            return None

    def _address(self) -> str | None:
        said = [line for line in self._process.output().splitlines() if "listening on http" in line]
        return said[0].rpartition(" ")[2] if said else None


def seconds(span: dict[str, Any]) -> float:
    """Duration of a span."""
    import datetime

    start, end = (
        datetime.datetime.fromisoformat(span[key].replace("Z", "+00:00")) for key in ("start_time", "end_time")
    )
    return (end - start).total_seconds()


def named(label: str) -> str:
    """A request id of its own, as long as one must be."""
    return f"{label}-{uuid.uuid4().hex[:16]}"


def document(name: str, data: bytes, accept: str = "application/json", **fields: str) -> Request:
    """A request that sends one page."""
    body, content_type = form([("page.jpg", data)], fields)
    return Request(name, "quick", "/v1/documents", content_type, body, accept)


__all__ = ["Outcome", "Service", "document", "named", "seconds", "until"]
