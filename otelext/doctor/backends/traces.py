"""Jaeger and Tempo: a trace by its id."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otelext.doctor.backends.api import UnansweredError
from otelext.doctor.backends.health import Health, looked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.backends.api import Api, Response

_NOT_FOUND: Final = 404
_OK: Final = 200
_HEX_ID: Final = re.compile(r"[0-9a-fA-F]{1,32}")
_NO_TRACE: Final = "0" * 31 + "1"
"""An id that nobody makes, to see whether a backend can be asked."""


@dataclass(frozen=True)
class Jaeger:
    """https://www.jaegertracing.io/docs/2.13/architecture/apis/, the API of its page, which all versions have."""

    api: Api
    name: str = "Jaeger"

    def look(self) -> Health:
        """Whether it answers."""
        return _look(self.api, "data")

    def trace(self, trace_id: str) -> str | None:
        """The id that a trace has there, None while it is not known; raises `UnansweredError`."""
        response = self.api.get(f"/api/traces/{trace_id}")
        if response.status == _NOT_FOUND:
            return None
        found = _json_of(response).get("data") or []
        return next((_hex(str(trace["traceID"])) for trace in found if trace.get("spans")), None)


@dataclass(frozen=True)
class Tempo:
    """https://grafana.com/docs/tempo/latest/api_docs/: the second version of its API, or the first where it is old."""

    api: Api
    name: str = "Tempo"

    def look(self) -> Health:
        """Whether it answers."""
        found = _look(self.api, None)
        if not found.answers:
            return found
        # Any web server knows no such trace.
        try:
            echo = self.api.get("/api/echo")
        except UnansweredError as error:
            return Health(False, str(error), error.status, error.trouble)
        if "echo" in echo.text[:100]:
            return found
        return replace(found, answers=False, text=echo.said, status=echo.status)

    def trace(self, trace_id: str) -> str | None:
        """The id that a trace has there, None while it is not known; raises `UnansweredError`."""
        for path in ("/api/v2/traces/", "/api/traces/"):
            response = self.api.get(f"{path}{trace_id}")
            if response.status != _NOT_FOUND:
                return next(_ids_of_spans(_json_of(response)), None)
        return None


TraceBackend: TypeAlias = Jaeger | Tempo
"""Where traces are asked for."""


def _look(api: Api, key: str | None) -> Health:
    """Asks for a trace that there is not: whoever answers in the API's own form can be asked for one that there is."""

    def is_right(response: Response) -> bool:
        return response.status in {_OK, _NOT_FOUND} and (key is None or key in response.json())

    return looked(api, f"/api/traces/{_NO_TRACE}", is_right)


def _json_of(response: Response) -> Any:
    if response.status != _OK:
        raise UnansweredError(response.said, response.status)
    found = response.json()
    if not isinstance(found, dict):
        raise UnansweredError("the answer is no object of JSON", response.status)
    return found


def _ids_of_spans(found: Any) -> Iterator[str]:
    """The trace ids that stand on spans of OTLP, however deep: the two versions wrap them differently."""
    if isinstance(found, dict):
        if "traceId" in found and ("spanId" in found or "spanID" in found):
            yield _hex(str(found["traceId"]))
        for value in found.values():
            yield from _ids_of_spans(value)
    elif isinstance(found, list):
        for value in found:
            yield from _ids_of_spans(value)


def _hex(text: str) -> str:
    """An id in 32 digits: Jaeger leaves out zeros, and Tempo's JSON has bytes in base64, as protobuf's does."""
    if _HEX_ID.fullmatch(text):
        return text.lower().zfill(32)
    try:
        return base64.b64decode(text, validate=True).hex().zfill(32)
    except (binascii.Error, ValueError):
        return text
