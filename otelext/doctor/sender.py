"""Sends one canary to one endpoint, over HTTP or gRPC, and says what was answered.

By requests of our own, as the SDK's exporters keep status and text of a refusal to themselves, try again, and take for
accepted what any web server answers with 200.
"""

from __future__ import annotations

import gzip
import json
import os
import time
import zlib
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.util._importlib_metadata import entry_points

from otelext.doctor.shown import shortened
from otelext.doctor.trouble import Trouble, trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc
    import requests
    from google.protobuf.message import Message

    from otelext.doctor.endpoint import Endpoint

_RESPONSES: Final[dict[str, Any]] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
_REJECTED: Final = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}
_METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_PROTOBUF: Final = "application/x-protobuf"
_CREDENTIAL_PROVIDERS: Final = "opentelemetry_otlp_credential_provider"
_LONGEST_ANSWER: Final = 65_536
_LONGEST_TEXT: Final = 400


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    Attributes:
        accepted: Whether the receiver took it, as OTLP says it.
        status: HTTP's number or gRPC's name, None where there was no answer.
        text: The receiver's words, empty where it had none.
        trouble: Why there was no answer, None where there was one.
        foreign: Whether it was answered with success by something that is no receiver of OTLP.
        begun: When it was sent, by `time.monotonic`.
        seconds: From there until the answer.
        date: When the receiver sent its answer by its own clock, in seconds since the epoch; None where it did not say.
        received: When the answer came by this machine's clock, in the same unit.
        location: Where a redirect leads, which the exporters don't follow.
    """

    accepted: bool
    status: str | None = None
    text: str = ""
    trouble: Trouble | None = None
    foreign: bool = False
    begun: float = 0.0
    seconds: float = 0.0
    date: float | None = None
    received: float = 0.0
    location: str | None = None


def send(endpoint: Endpoint, message: Message, environ: Mapping[str, str] | None = None) -> Answer:
    """Send a message once; whatever goes wrong is in the answer."""
    environ = os.environ if environ is None else environ
    begun = time.monotonic()
    answer = (_over_grpc if endpoint.protocol == "grpc" else _over_http)(endpoint, message, environ)
    return replace(answer, begun=begun, seconds=time.monotonic() - begun)


def parse_date(text: str | None) -> float | None:
    """The `Date` of an answer, in seconds since the epoch, None where there is none."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def _over_http(endpoint: Endpoint, message: Message, environ: Mapping[str, str]) -> Answer:
    import requests  # noqa: PLC0415  # comes with the exporters, which send through it: proxies and all are theirs

    body = message.SerializeToString()
    headers = {"content-type": _PROTOBUF, "user-agent": "otelext-doctor", **dict(endpoint.headers)}
    if endpoint.compression != "none":
        body = gzip.compress(body) if endpoint.compression == "gzip" else zlib.compress(body)
        headers.setdefault("content-encoding", endpoint.compression)
    deadline = time.monotonic() + endpoint.timeout
    try:
        session = _plugged_in("HTTP", endpoint, environ) or requests.Session()
        with session:
            session.verify = endpoint.certificate or True
            if endpoint.client_certificate:
                key = endpoint.client_key
                session.cert = (endpoint.client_certificate, key) if key else endpoint.client_certificate
            with session.post(
                endpoint.url,
                data=body,
                headers=headers,
                timeout=endpoint.timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                received = time.time()
                content = _read(response, deadline)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is why the service's telemetry does not leave
        return Answer(False, trouble=trouble(error))
    accepted, foreign, text = _understood(endpoint, response, content)
    return Answer(
        accepted=accepted,
        status=str(response.status_code),
        text=text,
        foreign=foreign,
        date=parse_date(response.headers.get("date")),
        received=received,
        location=response.headers.get("location"),
    )


def _read(response: requests.Response, deadline: float) -> bytes:
    """The beginning of a body, which may come as slowly as it likes."""
    content = b""
    for chunk in response.iter_content(4096):
        content += chunk
        if len(content) > _LONGEST_ANSWER or time.monotonic() > deadline:
            break
    return content


def _understood(endpoint: Endpoint, response: requests.Response, content: bytes) -> tuple[bool, bool, str]:
    """Whether it was accepted, whether the answer is foreign to OTLP, and its words."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    succeeded = response.status_code // 100 == 2  # noqa: PLR2004  # https://www.rfc-editor.org/rfc/rfc9110#name-status-codes
    if not succeeded:
        return False, False, _words(kind, content) or response.reason or ""
    if not content:
        return True, False, ""
    answer = _RESPONSES[endpoint.signal]()
    try:
        if kind == _PROTOBUF:
            answer.ParseFromString(content)
            partial = answer.partial_success
            rejected, text = getattr(partial, _REJECTED[endpoint.signal]), partial.error_message
        elif kind == "application/json":
            found = json.loads(content)
            if not set(found) <= {"partialSuccess"}:
                return False, True, _shortened(content)
            partial = found.get("partialSuccess") or {}
            rejected, text = any(name.startswith("rejected") and int(n) for name, n in partial.items()), ""
        else:
            return False, True, kind or "an answer without a type"
    except Exception:  # noqa: BLE001  # protobuf's and JSON's own
        return False, True, f"{kind}, which cannot be read"
    return not rejected, False, str(text)


def _words(kind: str, content: bytes) -> str:
    """The text of an error: of a google.rpc.Status, in protobuf or JSON, or as it is."""
    if kind == _PROTOBUF:
        from google.rpc.status_pb2 import Status  # noqa: PLC0415  # comes with the exporters

        try:
            return shortened(Status.FromString(content).message, _LONGEST_TEXT)
        except Exception:  # noqa: BLE001  # protobuf's own
            return ""
    if kind == "application/json":
        try:
            found = json.loads(content)
            return shortened(str(found["message"]), _LONGEST_TEXT)
        except (ValueError, KeyError, TypeError):
            pass
    return "" if kind == "text/html" else _shortened(content)


def _shortened(content: bytes) -> str:
    return shortened(content.decode(errors="replace"), _LONGEST_TEXT)


def _over_grpc(endpoint: Endpoint, message: Message, environ: Mapping[str, str]) -> Answer:
    import grpc  # noqa: PLC0415  # comes with the exporters

    compression = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}.get(endpoint.compression)
    try:
        if endpoint.secure:
            channel = grpc.secure_channel(endpoint.url, _grpc_credentials(endpoint, environ), compression=compression)
        else:
            channel = grpc.insecure_channel(endpoint.url, compression=compression)
        with channel:
            call = channel.unary_unary(
                _METHODS[endpoint.signal],
                request_serializer=lambda one: one.SerializeToString(),
                response_deserializer=_RESPONSES[endpoint.signal].FromString,
            )
            answer = call(message, timeout=endpoint.timeout, metadata=endpoint.headers)
    except grpc.RpcError as error:
        return Answer(False, status=error.code().name, text=shortened(str(error.details() or ""), _LONGEST_TEXT))
    except Exception as error:  # noqa: BLE001  # as over HTTP
        return Answer(False, trouble=trouble(error))
    partial = answer.partial_success
    rejected = getattr(partial, _REJECTED[endpoint.signal])
    return Answer(not rejected, status="OK", text=partial.error_message, received=time.time())


def _grpc_credentials(endpoint: Endpoint, environ: Mapping[str, str]) -> grpc.ChannelCredentials:
    import grpc  # noqa: PLC0415  # comes with the exporters

    given = _plugged_in("GRPC", endpoint, environ)
    if given is not None:
        return given  # type: ignore[no-any-return]
    return grpc.ssl_channel_credentials(
        *(_content(file) for file in (endpoint.certificate, endpoint.client_key, endpoint.client_certificate))
    )


def _content(file: str | None) -> bytes | None:
    if file is None:
        return None
    with open(file, "rb") as opened:  # noqa: PTH123
        return opened.read()


def _plugged_in(transport: str, endpoint: Endpoint, environ: Mapping[str, str]) -> Any:
    """What a plug-in of the user's provides for the exporters' credentials, None without one.

    https://github.com/open-telemetry/opentelemetry-python/pull/4689.
    """
    prefix = f"OTEL_PYTHON_EXPORTER_OTLP_{transport}_"
    name = environ.get(f"{prefix}CREDENTIAL_PROVIDER") or environ.get(
        f"{prefix}{endpoint.signal.upper()}_CREDENTIAL_PROVIDER"
    )
    if not name:
        return None
    found = next(iter(entry_points(group=_CREDENTIAL_PROVIDERS, name=name)), None)
    if found is None:
        raise LookupError(f"no installed package provides the credentials {name!r} that {prefix}... names")
    return found.load()()
