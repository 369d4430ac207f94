"""Where a canary could have been handed over instead: the ports around the one that was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from otelext.doctor.canary import Canary, Preferences
from otelext.doctor.delivery import deliver
from otelext.doctor.endpoint import endpoints
from tests.doctor.sockets import closed_port, http_server

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"404 page not found", "the port is wrong"),
        (b'{"data":[],"total":0}', "not running there, or the port is wrong"),
    ],
    ids=["unknown", "jaeger"],
)
def test_nobody_is_sent_to_the_port_of_a_server_that_is_no_receiver(body: bytes, text: str) -> None:
    def answer(_method: str, path: str, _headers: Mapping[str, str], _body: bytes) -> Any:
        return (200, {}, body) if path == "/api/services" else (404, {}, b"404 page not found")

    with http_server(answer) as port:
        there = endpoints({}, endpoint=f"http://127.0.0.1:{closed_port()}")
        found = deliver(Canary.made(Preferences()), there, {}, 2.0, [port], {})
    for finding in found.findings:
        assert finding.cause is not None
        assert text in finding.cause
        assert (f":{port}" in (finding.next_step or "")) == (body == b"404 page not found")
