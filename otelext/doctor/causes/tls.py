"""Why a connection to the receiver fails in TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelext.doctor.causes.cause import Cause
from otelext.doctor.causes.commands import with_address
from otelext.doctor.endpoint import address

if TYPE_CHECKING:
    from otelext.doctor.causes.refusal import Refusal
    from otelext.doctor.endpoint import Endpoint


def why_tls_fails(facts: Refusal) -> Cause | None:
    """The most likely cause that no connection came about, None where it is not about TLS."""
    endpoint, speech = facts.endpoint, facts.listener.speech
    place = f"{endpoint.host}:{endpoint.port}"
    if endpoint.secure and speech in {"http", "http2"}:
        plain = address("http", endpoint.host, endpoint.port)
        text = f"TLS is spoken to {place}, which speaks plain text"
        if endpoint.protocol == "grpc" and endpoint.written_scheme == "http":
            return Cause(
                f"{text}: over gRPC a variable ..._INSECURE that is not true goes before the http:// of the address",
                "export OTEL_EXPORTER_OTLP_INSECURE=true   (and unset that of one signal, where there is any)",
            )
        why = "the address begins with https://"
        if endpoint.protocol == "grpc" and not endpoint.written_scheme:
            why = "an address without http:// means TLS over gRPC, unless OTEL_EXPORTER_OTLP_INSECURE=true"
        return Cause(f"{text}: {why}", with_address(endpoint, plain))
    if not endpoint.secure and speech == "tls":
        return Cause(
            f"plain text is sent to {place}, which speaks TLS",
            with_address(endpoint, address("https", endpoint.host, endpoint.port))
            + "   (and OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt, where its authority is your own)",
        )
    if facts.tls is None or not endpoint.secure:
        return None
    text = facts.tls.text
    if facts.tls.kind == "file":
        return Cause(
            f"a certificate's file cannot be read: {text}",
            "env | grep OTEL_EXPORTER_OTLP   (and correct the path in ..._CERTIFICATE or ..._CLIENT_KEY)",
        )
    if facts.tls.kind == "untrusted" and "expired" in text:
        return Cause(
            f"the certificate of {place} is not valid at this time: {text}",
            f"openssl s_client -connect {place} </dev/null | openssl x509 -noout -dates",
        )
    if facts.tls.kind == "untrusted" and ("mismatch" in text or "match" in text):
        return Cause(
            f"the certificate of {place} names another host: {text}",
            f"openssl s_client -connect {place} </dev/null | openssl x509 -noout -ext subjectAltName",
        )
    if facts.tls.kind == "untrusted" and facts.bundle and endpoint.certificate:
        return Cause(
            f"the authority of {place}'s certificate is not trusted here: {text}; {facts.bundle} is set, and goes before"
            " OTEL_EXPORTER_OTLP_CERTIFICATE",
            f"unset {facts.bundle}",
        )
    if facts.tls.kind == "untrusted":
        return Cause(
            f"the authority of {place}'s certificate is not trusted here: {text}",
            "export OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt   (the file of the authority that signed it)",
        )
    return _client_certificate(endpoint, text)


def _client_certificate(endpoint: Endpoint, text: str) -> Cause:
    """The handshake failed after the server's own certificate was found right: it is about the client's."""
    variables = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=tls.crt OTEL_EXPORTER_OTLP_CLIENT_KEY=tls.key"
    if endpoint.client_certificate is None:
        also = ""
        if endpoint.protocol == "grpc" and endpoint.certificate is None:
            also = " OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt   (the exporter over gRPC reads them only together)"
        return Cause(
            f"the receiver asks for a client certificate, and none is shown: {text}", f"export {variables}{also}"
        )
    return Cause(
        f"the receiver refuses the client certificate {endpoint.client_certificate}: {text}",
        f"openssl x509 -noout -issuer -dates -in {endpoint.client_certificate}   (its authority and dates must suit the"
        " receiver's client_ca_file)",
    )
