"""Certificates and keys that exporters show and trust: whether they can be read, fit each other and are still valid."""

from __future__ import annotations

import os
import ssl
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelext.doctor.finding import Finding
from otelext.doctor.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.environment.exports import Export
    from otelext.doctor.otlp_variables import Setting

CHECK: Final = "environment.certificate"
# https://docs.openssl.org/3.0/man1/openssl-verification-options/#diagnostics, as X509_V_ERR_* in x509_vfy.h
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_LOST: Final = "Every export fails."


def examine(export: Export) -> Iterator[Finding]:
    """What is wrong with one exporter's certificates; nothing is looked at where it speaks plain text."""
    authority, chain, key = (export.setting(name) for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"))
    given = [setting for setting in (authority, chain, key) if setting.value]
    if not export.uses_tls:
        if given:
            yield Finding(
                "environment.tls",
                "warning",
                f"{shown(given[0].variable, given[0].value)} does nothing, as {export} is plain text",
                "The scheme of the address decides: https is TLS.",
                f"export {export.endpoint.variable}=https://...",
            )
        return
    for setting in given:
        yield from _unreadable(setting, may_be_a_folder=setting is authority and export.transport == "http/protobuf")
    readable = all(_is_readable(setting) for setting in given)
    if authority.value and readable:
        yield from _authority(authority)
    yield from _pair(export, authority, chain, key)
    if chain.value and readable:
        yield from _shown(chain, key)


def _is_readable(setting: Setting) -> bool:
    return os.access(setting.value, os.R_OK)


def _unreadable(setting: Setting, *, may_be_a_folder: bool) -> Iterator[Finding]:
    path = Path(setting.value)
    if not path.exists():
        why, what = "there is no such file", f"ls -l {path.parent}"
    elif not may_be_a_folder and path.is_dir():
        why, what = "it is a folder, and a file is needed", f"ls -l {path}"
    elif not _is_readable(setting):
        why, what = "this user can't read it", f"ls -l {path}"
    else:
        return
    yield Finding(CHECK, "error", f"{shown(setting.variable, setting.value)}: {why}", _LOST, what)


def _authority(setting: Setting) -> Iterator[Finding]:
    path = Path(setting.value)
    if path.is_dir():
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError):
        yield Finding(
            CHECK,
            "error",
            f"{shown(setting.variable, setting.value)} holds no certificate in PEM",
            _LOST,
            f"openssl x509 -in {path} -noout -subject -dates",
        )
        return
    ends = [ssl.cert_time_to_seconds(str(found["notAfter"])) for found in context.get_ca_certs()]
    if ends and max(ends) < _now():
        yield Finding(
            CHECK,
            "error",
            f"{shown(setting.variable, setting.value)} expired on {_day(max(ends))}",
            "No certificate of the receiver's can be trusted by it.",
            f"openssl x509 -in {path} -noout -subject -dates",
        )


def _pair(export: Export, authority: Setting, chain: Setting, key: Setting) -> Iterator[Finding]:
    if key.value and not chain.value:
        yield Finding(
            CHECK,
            "error",
            f"{shown(key.variable, key.value)} is not used, as {chain.variable} is not set",
            "A receiver that asks for a client's certificate refuses the connection.",
            f"export {chain.variable}=...",
        )
    elif export.transport == "grpc" and chain.value and not key.value:
        yield Finding(
            CHECK,
            "error",
            f"{shown(chain.variable, chain.value)} is not shown, as {key.variable} is not set",
            "Over gRPC the key is a file of its own.",
            f"export {key.variable}=...",
        )
    if export.transport == "grpc" and chain.value and not authority.value:
        yield Finding(
            CHECK,
            "error",
            f"{shown(chain.variable, chain.value)} is not shown, as {authority.variable} is not set",
            "Over gRPC the Python SDK reads the client's certificate only together with the receiver's authority.",
            f"export {authority.variable}=...",
        )


def _shown(chain: Setting, key: Setting) -> Iterator[Finding]:
    path = chain.value
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for context in (server, client):
            # Without the callable OpenSSL would ask for a password on the terminal.
            context.load_cert_chain(path, key.value or None, password=lambda: "")
    except ssl.SSLError as error:
        files = f"{shown(chain.variable, path)}" + (f" and {shown(key.variable, key.value)}" if key.value else "")
        if error.reason == "KEY_VALUES_MISMATCH":
            what, step = "are no pair: the key is another certificate's", f"openssl x509 -in {path} -noout -pubkey"
        elif not key.value:
            what, step = "holds no certificate with its key in PEM", f"export {key.variable}=..."
        else:
            what = "can't be used together: one is not PEM, or the key is encrypted, which no exporter can open"
            step = f"openssl pkey -in {key.value} -noout"
        yield Finding(CHECK, "error", f"{files} {what}", _LOST, step)
        return
    except (OSError, ValueError):
        return  # named already
    yield from _dates(chain, server, client)


def _dates(chain: Setting, server: ssl.SSLContext, client: ssl.SSLContext) -> Iterator[Finding]:
    """Whether the certificate is valid today: it is shown to a server in memory, which trusts it alone."""
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    server.load_verify_locations(chain.value)
    code = _verify_code(server, client)
    if code in {_EXPIRED, _NOT_YET_VALID}:
        when = "has expired" if code == _EXPIRED else "is not valid yet by this machine's clock"
        yield Finding(
            CHECK,
            "error",
            f"{shown(chain.variable, chain.value)} {when}",
            "The receiver refuses the connection.",
            f"openssl x509 -in {chain.value} -noout -subject -dates",
        )


def _verify_code(server: ssl.SSLContext, client: ssl.SSLContext) -> int | None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    done = [False, False]
    # A handshake is a few flights; what needs more never ends.
    for _ in range(10):
        for which, end in enumerate(ends):
            try:
                end.do_handshake()
                done[which] = True
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_code
            except ssl.SSLError:
                return None
        if all(done):
            return None
    return None


def _now() -> float:
    return datetime.now(timezone.utc).timestamp()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d")
