"""The backends' APIs, played by small servers where tests/stack has none: Tempo's, refusals, slowness, credentials."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from otelext.doctor.backends.api import Api, UnansweredError
from otelext.doctor.backends.loki import Loki
from otelext.doctor.backends.prometheus import Prometheus
from otelext.doctor.backends.traces import Jaeger, Tempo
from otelext.doctor.endpoint import endpoints
from otelext.doctor.identity import identity
from otelext.doctor.settings import Access, accesses
from tests.doctor.sockets import closed_port, http_server, raw_server

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from tests.stack.certificates import Certificates

ID = "0af7651916cd43dd8448eb211c80319c"
OF_BYTES = base64.b64encode(bytes.fromhex(ID)).decode()
SPANS = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": OF_BYTES, "spanId": "AAAAAAAAAAE=", "name": "x"}]}]}]}


def pages(answers: Mapping[str, Any], status: int = 404) -> Any:
    """Answers by path, without the query; anything else is not found."""

    def answer(_method: str, path: str, _headers: Mapping[str, str], _body: bytes) -> Any:
        found = answers.get(path.partition("?")[0])
        if found is None:
            return status, {}, b"no such page"
        return 200, {}, found if isinstance(found, bytes) else json.dumps(found).encode()

    return answer


@pytest.mark.parametrize(
    "answers",
    [
        {f"/api/v2/traces/{ID}": {"trace": SPANS, "metrics": {}}},
        {
            f"/api/v2/traces/{ID}": {
                "trace": json.loads(json.dumps(SPANS).replace(OF_BYTES, ID.upper())),
                "status": "COMPLETE",
            }
        },
        # The first version, which older servers have alone, calls it otherwise.
        {f"/api/traces/{ID}": {"batches": SPANS["resourceSpans"]}},
    ],
)
def test_a_trace_in_tempo(answers: Mapping[str, Any]) -> None:
    with (
        http_server(pages({**answers, "/api/echo": b"echo"})) as port,
        Api(Access("tempo", f"http://127.0.0.1:{port}")) as api,
    ):
        tempo = Tempo(api)
        assert tempo.look().answers
        assert tempo.trace(ID) == ID
        assert tempo.trace("f" * 32) is None


def test_an_empty_trace_is_none() -> None:
    empty = {"/api/v2/traces/" + ID: {"trace": {"resourceSpans": []}}, "/api/traces/" + ID: {"data": []}}
    with http_server(pages(empty)) as port, Api(Access("tempo", f"http://127.0.0.1:{port}")) as api:
        assert Tempo(api).trace(ID) is None
        assert Jaeger(api).trace(ID) is None


def test_jaeger_leaves_out_the_zeros_of_an_id() -> None:
    short = "0" * 16 + ID[16:]
    answers = {f"/api/traces/{short}": {"data": [{"traceID": ID[16:], "spans": [{}]}]}}
    with http_server(pages(answers)) as port, Api(Access("jaeger", f"http://127.0.0.1:{port}")) as api:
        assert Jaeger(api).trace(short) == short


BACKENDS = pytest.mark.parametrize("backend", [Jaeger, Tempo, Prometheus, Loki])


@BACKENDS
@pytest.mark.parametrize(
    "answer", [(404, b"no such page"), (200, b"<html>a page to log in</html>"), (200, b"[]"), (200, b'{"x":1}')]
)
def test_any_other_web_server_is_not_taken_for_it(backend: Any, answer: tuple[int, bytes]) -> None:
    status, body = answer
    with http_server(lambda *_: (status, {}, body)) as port, Api(Access("loki", f"http://127.0.0.1:{port}")) as api:
        found = backend(api).look()
        assert not found.answers
        assert found.status == status


@BACKENDS
@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_refusal_is_kept_with_its_words(backend: Any, status: int) -> None:
    with (
        http_server(lambda *_: (status, {}, b"no org id")) as port,
        Api(Access("loki", f"http://127.0.0.1:{port}")) as api,
    ):
        found = backend(api).look()
        assert (found.answers, found.status) == (False, status)
        assert "no org id" in found.text


@BACKENDS
def test_nobody_is_waited_for_where_nothing_listens(backend: Any) -> None:
    begun = time.monotonic()
    with Api(Access("loki", f"http://127.0.0.1:{closed_port()}")) as api:
        found = backend(api).look()
    assert found.trouble.kind == "refused"
    assert time.monotonic() - begun < 3


def test_an_answer_that_never_ends_is_given_up() -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.2)

    with raw_server(drip) as port, Api(Access("loki", f"http://127.0.0.1:{port}")) as api:
        begun = time.monotonic()
        with pytest.raises(UnansweredError, match="too slowly"):
            api.get("/")
        assert time.monotonic() - begun < 15


def test_headers_and_the_user_of_an_address_are_shown_to_it() -> None:
    seen: list[Any] = []

    def answer(_method: str, path: str, headers: Mapping[str, str], _body: bytes) -> Any:
        seen.append((path, headers.get("authorization"), headers.get("x-scope-orgid")))
        return 200, {}, b'{"status":"success","data":[]}'

    with http_server(answer) as port:
        environ = {"OTELEXT_DOCTOR_LOKI_HEADERS": "X-Scope-OrgID=clinic"}
        access = accesses(environ, {"loki": f"http://user:pass%40word@127.0.0.1:{port}/base/"})["loki"]
        with Api(access) as api:
            assert Loki(api).look().answers
    path, authorization, tenant = seen[0]
    assert path == "/base/loki/api/v1/labels"
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"user:pass@word"
    assert tenant == "clinic"


def test_certificates_of_both_sides(certificates: Certificates) -> None:
    right = {
        "OTELEXT_DOCTOR_CERTIFICATE": str(certificates.server.authority),
        "OTELEXT_DOCTOR_CLIENT_CERTIFICATE": str(certificates.client.chain),
        "OTELEXT_DOCTOR_CLIENT_KEY": str(certificates.client.key),
    }
    answers = pages({"/loki/api/v1/labels": {"status": "success"}})
    with http_server(answers, certificates.server, asks=True) as port:
        url = f"https://127.0.0.1:{port}"
        with Api(accesses(right, {"loki": url})["loki"]) as api:
            assert Loki(api).look().answers
        for without in right:
            environ = {name: value for name, value in right.items() if name != without}
            if without.endswith("KEY"):
                with pytest.raises(UnansweredError, match="certificate cannot be read"):
                    Api(accesses(environ, {"loki": url})["loki"])
                continue
            with Api(accesses(environ, {"loki": url})["loki"]) as api:
                found = Loki(api).look()
                assert not found.answers
                assert found.trouble is not None


def test_a_file_of_certificates_that_is_missing() -> None:
    environ = {"OTELEXT_DOCTOR_CERTIFICATE": "/no/such/file"}
    with pytest.raises(UnansweredError, match="certificate cannot be read"):
        Api(accesses(environ, {})["loki"])


def test_mimir_tells_nothing_of_its_settings_but_takes_otlp_or_not() -> None:
    with http_server(pages({})) as port, Api(Access("mimir", f"http://127.0.0.1:{port}/prometheus")) as api:
        found = Prometheus(api, "Mimir").configured()
        assert (found.exemplars, found.late, found.native) == (None, None, None)


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        ({"/-/ready": b"Prometheus Server is Ready.\n"}, "Prometheus"),
        ({"/api/health": b'{"database": "ok"}'}, "Grafana"),
        ({"/": b'{"report_port": 8321}'}, "an otelext viewer's report"),
        ({}, None),
    ],
)
def test_which_server_it_is(answers: Mapping[str, bytes], name: str | None) -> None:
    seen: list[Any] = []

    def answer(*request: Any) -> Any:
        seen.append(request)
        return pages(answers)(*request)

    with http_server(answer) as port:
        environ = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret"}
        endpoint = endpoints(environ, endpoint=f"http://127.0.0.1:{port}/v1")["traces"]
        assert identity(endpoint) == name
    assert {method for method, *_ in seen} == {"GET"}
    assert "secret" not in str(seen), "whoever it is need not be trusted"
