"""The HTTP session that OTLP exporters send through: retries that end when the process does, one log line, forks.

The exporters' own retry can't be interrupted before their provider has waited for it, logs every attempt, and shares
its connections with forked children. A session is what they take from outside.
"""

from __future__ import annotations

import os
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from otelext.distro.delivery import RefusedError, UnreachedError, deliver

_REFUSALS: Final = frozenset({requests.codes.unauthorized, requests.codes.forbidden})
_DEFAULT_BUDGET_S: Final = 10.0


class ExportSession(requests.Session):
    """Sends telemetry; a receiver that can't be reached is tried again within the exporter's own time-out."""

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()
        self._inherited: list[Any] = []

    def request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send one request.

        Raises:
            UndeliveredError: The receiver was not reached within `timeout` seconds, refuses the sender, or the process
                is to end.
        """
        self._leave_connections_to_parent()
        send = super().request

        def attempt(budget: float) -> requests.Response:
            try:
                answer = send(method, url, *args, **{**kwargs, "timeout": budget})
            except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
                raise UnreachedError(_reason(error)) from error
            if answer.status_code in _REFUSALS:
                raise RefusedError(f"{answer.status_code} {answer.reason}".strip())
            return answer

        return deliver(attempt, _place(url), kwargs.get("timeout") or _DEFAULT_BUDGET_S)

    def _leave_connections_to_parent(self) -> None:
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        # Two processes on one connection would mix their requests. The old pools are kept, since closing them takes
        # locks that a thread of the parent may have held at the fork.
        self._inherited.append(dict(self.adapters))
        for prefix in tuple(self.adapters):
            self.mount(prefix, HTTPAdapter())


def _place(url: str | bytes) -> str:
    """Scheme, host and port: the rest of an address may hold credentials."""
    parts = urlsplit(url if isinstance(url, str) else url.decode())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def _reason(error: BaseException) -> str:
    """The operating system's words at the bottom of what requests and urllib3 wrapped, else the type's name."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        current = queue.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, OSError) and not isinstance(current, requests.RequestException) and current.strerror:
            return current.strerror
        queue += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
    return type(error).__name__
