"""Certificates and keys, made by openssl."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.doctor.environment.looks import only, wrong
from tests.stack.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificates")

PREFIX = "OTEL_EXPORTER_OTLP_"
NOBODY = 65534


def setting(transport: str, **files: Path | str) -> dict[str, str]:
    port = 4317 if transport == "grpc" else 4318
    return {
        f"{PREFIX}PROTOCOL": transport,
        f"{PREFIX}ENDPOINT": f"https://localhost:{port}",
        **{f"{PREFIX}{name}": str(path) for name, path in files.items()},
    }


TRANSPORTS = pytest.mark.parametrize("transport", ["grpc", "http/protobuf"])


@TRANSPORTS
def test_certificates_that_fit_are_in_order(certificates, transport) -> None:
    shown = {"CLIENT_CERTIFICATE": certificates.client.chain, "CLIENT_KEY": certificates.client.key}
    assert not wrong(**setting(transport, CERTIFICATE=certificates.server.authority))
    assert not wrong(**setting(transport, CERTIFICATE=certificates.server.authority, **shown))


@TRANSPORTS
@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"])
def test_a_file_that_is_not_there_is_an_error(certificates, transport, name) -> None:
    files = {
        "CERTIFICATE": certificates.server.authority,
        "CLIENT_CERTIFICATE": certificates.client.chain,
        "CLIENT_KEY": certificates.client.key,
        name: "/no/such/file.pem",
    }
    finding = only(**setting(transport, **files))
    assert (finding.check, finding.level) == ("environment.certificate", "error")
    assert f"{PREFIX}{name}=/no/such/file.pem: there is no such file" in finding.summary


@pytest.fixture
def no_root() -> Iterator[None]:
    """Root reads every file: it is nobody meanwhile, by the id that access() asks about."""
    before = os.getuid()
    if before == 0:
        os.setreuid(NOBODY, -1)
    try:
        yield
    finally:
        os.setreuid(before, -1)


@pytest.mark.usefixtures("no_root")
def test_a_file_that_this_user_cannot_read_is_an_error(certificates, tmp_path) -> None:
    copy = tmp_path / "ca.crt"
    shutil.copy(certificates.server.authority, copy)
    copy.chmod(0)
    assert "this user can't read it" in only(**setting("grpc", CERTIFICATE=copy)).summary


def test_a_folder_is_an_authority_over_http_alone(certificates) -> None:
    folder = certificates.server.folder
    assert not wrong(**setting("http/protobuf", CERTIFICATE=folder))
    assert "it is a folder" in only(**setting("grpc", CERTIFICATE=folder)).summary


def test_an_authority_that_is_no_certificate_is_an_error(certificates) -> None:
    finding = only(**setting("http/protobuf", CERTIFICATE=certificates.server.key))
    assert "holds no certificate in PEM" in finding.summary


@TRANSPORTS
def test_an_expired_authority_is_an_error(tmp_path, transport) -> None:
    authority = Authority(tmp_path, "old")
    request, extensions, expired = (tmp_path / name for name in ("request", "extensions", "expired.crt"))
    extensions.write_text("basicConstraints=critical,CA:TRUE\n")
    authority._openssl("req", "-new", "-key", tmp_path / "old.key", "-subj", "/CN=old", "-out", request)
    how = ("-days", "-1", "-extfile", extensions, "-signkey", tmp_path / "old.key")
    authority._openssl("x509", "-req", "-in", request, *how, "-out", expired)
    finding = only(**setting(transport, CERTIFICATE=expired))
    assert (finding.check, finding.level) == ("environment.certificate", "error")
    assert "expired on 20" in finding.summary


@TRANSPORTS
def test_an_expired_certificate_is_an_error(certificates, transport) -> None:
    files = {"CLIENT_CERTIFICATE": certificates.expired.chain, "CLIENT_KEY": certificates.expired.key}
    finding = only(**setting(transport, CERTIFICATE=certificates.server.authority, **files))
    assert (finding.check, finding.level) == ("environment.certificate", "error")
    assert "has expired" in finding.summary


@TRANSPORTS
def test_the_key_of_another_certificate_is_an_error(certificates, transport) -> None:
    files = {"CLIENT_CERTIFICATE": certificates.client.chain, "CLIENT_KEY": certificates.server.key}
    finding = only(**setting(transport, CERTIFICATE=certificates.server.authority, **files))
    assert "are no pair" in finding.summary


def test_an_encrypted_key_is_an_error_and_asks_for_no_password(certificates, tmp_path) -> None:
    locked = tmp_path / "locked.key"
    Authority(tmp_path, "any")._openssl(
        "pkey", "-in", certificates.client.key, "-aes256", "-passout", "pass:hunter2", "-out", locked
    )
    files = {"CLIENT_CERTIFICATE": certificates.client.chain, "CLIENT_KEY": locked}
    assert "the key is encrypted" in only(**setting("http/protobuf", **files)).summary


def test_a_key_without_its_certificate_is_an_error(certificates) -> None:
    finding = only(**setting("http/protobuf", CLIENT_KEY=certificates.client.key))
    assert f"is not used, as {PREFIX}CLIENT_CERTIFICATE is not set" in finding.summary


def test_a_certificate_may_hold_its_key_over_http_alone(certificates, tmp_path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(certificates.client.key.read_bytes() + certificates.client.chain.read_bytes())
    assert not wrong(**setting("http/protobuf", CLIENT_CERTIFICATE=both))
    found = wrong(**setting("grpc", CERTIFICATE=certificates.server.authority, CLIENT_CERTIFICATE=both))
    assert [one.summary.endswith(f"is not shown, as {PREFIX}CLIENT_KEY is not set") for one in found] == [True]
    assert (
        "holds no certificate with its key"
        in only(**setting("http/protobuf", CLIENT_CERTIFICATE=certificates.client.chain)).summary
    )


def test_a_client_certificate_without_an_authority_is_not_shown_over_grpc(certificates) -> None:
    files = {"CLIENT_CERTIFICATE": certificates.client.chain, "CLIENT_KEY": certificates.client.key}
    finding = only(**setting("grpc", **files))
    assert f"is not shown, as {PREFIX}CERTIFICATE is not set" in finding.summary
    assert not wrong(**setting("http/protobuf", **files))


def test_certificates_do_nothing_in_plain_text(certificates) -> None:
    finding = only(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://localhost:4318/v1/traces",
        **{f"{PREFIX}TRACES_CERTIFICATE": str(certificates.server.authority)},
    )
    assert finding.check == "environment.tls"
    assert "does nothing" in finding.summary
