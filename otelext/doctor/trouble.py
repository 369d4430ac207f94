"""Why a connection gave no answer: whatever library spoke, one of a few kinds and the words at its bottom."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind: TypeAlias = Literal[
    "unresolved",  # the name has no address
    "refused",  # nothing listens
    "unreachable",  # no way there
    "timeout",
    "untrusted",  # TLS, and a certificate that isn't trusted, has expired or names another host
    "tls",  # TLS in any other way
    "file",  # a certificate that isn't there
    "proxy",
    "protocol",  # what answers speaks something else
    "other",
]


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer.

    Attributes:
        kind: One of a few.
        text: In the words of the operating system or of the library.
    """

    kind: Kind
    text: str


def trouble(error: BaseException) -> Trouble:
    """What an exception of socket, ssl, requests or httpx says at its bottom."""
    chain = list(_chain(error))
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    # Libraries wrap a failed proxy around what failed there, and a time-out around the one of the socket.
    if names & {"ProxyError"}:
        return Trouble("proxy", _text(chain))
    for kind, types in (
        ("untrusted", (ssl.SSLCertVerificationError,)),
        ("tls", (ssl.SSLError,)),
        ("unresolved", (socket.gaierror,)),
        ("refused", (ConnectionRefusedError,)),
    ):
        for one in chain:
            if isinstance(one, types):
                return Trouble(kind, _words(one))  # type: ignore[arg-type]  # a tuple's literals are not inferred
    if names & {"NameResolutionError"}:
        return Trouble("unresolved", _text(chain))
    if names & {"TimeoutError", "Timeout", "TimeoutException"}:
        return Trouble("timeout", "no answer in time")
    if names & {"BadStatusLine", "RemoteProtocolError", "ConnectionResetError", "RemoteDisconnected", "ProtocolError"}:
        return Trouble("protocol", _text(chain))
    if "OSError" in names and ("FileNotFoundError" in names or "invalid path" in str(error)):
        return Trouble("file", str(error))
    if any(isinstance(one, OSError) and one.errno for one in chain):
        return Trouble("unreachable", _text(chain))
    return Trouble("other", _text(chain))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it wraps, in whatever way, outermost first."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        current = queue.pop(0)
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            queue += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]


def _text(chain: list[BaseException]) -> str:
    """The operating system's words, else those of what lies at the bottom."""
    for one in chain:
        if isinstance(one, OSError) and one.strerror and not isinstance(one.strerror, BaseException):
            return one.strerror
    return _words(chain[-1])


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # Messages name what was asked, with its query; the first line says enough.
    return str(error).partition("\n")[0] or type(error).__name__
