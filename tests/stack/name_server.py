"""A name server that knows one name's addresses, whatever it is asked for: https://www.rfc-editor.org/rfc/rfc1035."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

_HEAD: Final = 12
_ANSWER, _A, _IN = 0x8180, 1, 1


class NameServer:
    """At a port of loopback, as a context manager."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = [ipaddress.IPv4Address(address).packed for address in addresses]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                question, sender = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            self._socket.sendto(self._answer(question), sender)

    def _answer(self, question: bytes) -> bytes:
        end = question.index(0, _HEAD) + 5  # the name, its end, type and class
        (kind,) = struct.unpack_from("!H", question, end - 4)
        found = self._addresses if kind == _A else []
        # 0xC00C is the name of the question once more.
        records = [struct.pack("!HHHIH", 0xC00C, _A, _IN, 1, len(address)) + address for address in found]
        head = question[:2] + struct.pack("!HHHHH", _ANSWER, 1, len(records), 0, 0)
        return head + question[_HEAD:end] + b"".join(records)
