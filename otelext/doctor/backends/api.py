"""One backend's HTTP API: asking it with credentials, within seconds, and what it means when it gives no answer."""

from __future__ import annotations

import ipaddress
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from otelext.doctor.sender import parse_date
from otelext.doctor.shown import shortened
from otelext.doctor.trouble import Trouble, trouble

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from otelext.doctor.settings import Access

_CONNECT_S: Final = 2.0
_ANSWER_S: Final = 5.0
_LONGEST_ANSWER: Final = 8_000_000
_LONGEST_TEXT: Final = 300


class UnansweredError(Exception):
    """A backend gave no answer that helps; the message says why, without a credential.

    Attributes:
        status: HTTP's number, None where there was no answer at all.
        trouble: Why there was none, None where there was one.
    """

    def __init__(self, text: str, status: int | None = None, why: Trouble | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.trouble = why


@dataclass(frozen=True)
class Response:
    """What was answered.

    Attributes:
        status: HTTP's number.
        text: The body.
        date: When by the backend's clock, in seconds since the epoch; None where it did not say.
        asked: When it was asked by this machine's clock, in the same unit.
        received: When the answer came, as `asked`.
    """

    status: int
    text: str
    date: float | None
    asked: float
    received: float

    @property
    def shortened(self) -> str:
        """The body on one line, as far as people read."""
        return shortened(self.text, _LONGEST_TEXT)

    @property
    def said(self) -> str:
        """Number and body, as people read them."""
        return f"{self.status} {self.shortened}".strip()

    def json(self) -> Any:
        """The body, read.

        Raises:
            UnansweredError: It is no JSON, as that of a page to log in.
        """
        try:
            return json.loads(self.text)
        except ValueError:
            raise UnansweredError(f"the answer is no JSON: {self.shortened[:80]!r}", self.status) from None


class Api:
    """A backend's API, as a context manager."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._client = httpx.Client(
            headers=[("user-agent", "otelext-doctor"), *access.headers],
            verify=_trusted(access),
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            # Proxies of the environment are for the outer world; what runs here is asked directly.
            trust_env=not is_local(access.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, **parameters: str | float) -> Response:
        """Ask for a path below the address.

        Raises:
            UnansweredError: Nobody answered, or not in time.
        """
        return self._request("GET", path, params=parameters or None)

    def post(self, path: str, content: bytes, content_type: str) -> Response:
        """Send to a path below the address; raises as `get`."""
        return self._request("POST", path, content=content, headers={"content-type": content_type})

    def ask(self, path: str, **parameters: str | float) -> Any:
        """The JSON that a path answers with success.

        Raises:
            UnansweredError: Nobody answered, or with another status than 200; or with something else than JSON.
        """
        response = self.get(path, **parameters)
        if response.status != httpx.codes.OK:
            raise UnansweredError(
                f"{response.status} {httpx.codes.get_reason_phrase(response.status)}: {response.shortened}".rstrip(
                    ": "
                ),
                response.status,
            )
        return response.json()

    def _request(self, method: str, path: str, **arguments: Any) -> Response:
        deadline = time.monotonic() + _CONNECT_S + _ANSWER_S
        asked = time.time()
        try:
            with self._client.stream(method, self.access.url + path, **arguments) as response:
                received = time.time()
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _LONGEST_ANSWER or time.monotonic() > deadline:
                        raise UnansweredError("the answer is too long, or comes too slowly", response.status_code)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            why = trouble(error)
            raise UnansweredError(why.text, why=why) from error
        text = content.decode(errors="replace")
        return Response(response.status_code, text, parse_date(response.headers.get("date")), asked, received)


def _trusted(access: Access) -> Any:
    """What httpx checks certificates with."""
    import ssl  # noqa: PLC0415  # only where a file is named

    if not (access.certificate or access.client_certificate):
        return True
    try:
        context = ssl.create_default_context(cafile=access.certificate)
        if access.client_certificate:
            context.load_cert_chain(access.client_certificate, access.client_key)
    except (OSError, ssl.SSLError) as error:
        raise UnansweredError(
            f"the certificate cannot be read: {trouble(error).text}", why=Trouble("file", str(error))
        ) from error
    return context


def is_local(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
