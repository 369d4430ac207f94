"""Certificates and keys, made by openssl."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.doctor.environment.looks import only, wrong
from tests.stack.certificates import Authority, Certificates

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificates")

PREFIX = "OTEL_EXPORTER_OTLP_"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Certificates:
    return Certificates.made(tmp_path_factory.mktemp("certificates"))


def setting(transport: str, **files: Path | str) -> dict[str, str]:
    port = 4317 if transport == "grpc" else 4318
    return {
        f"{PREFIX}PROTOCOL": transport,
        f"{PREFIX}ENDPOINT": f"https://localhost:{port}",
        **{f"{PREFIX}{name}": str(path) for name, path in files.items()},
    }


TRANSPORTS = pytest.mark.parametrize("transport", ["grpc", "http/protobuf"])


@TRANSPORTS
def test_certificates_that_fit_are_in_order(made, transport) -> None:
    shown = {"CLIENT_CERTIFICATE": made.client.chain, "CLIENT_KEY": made.client.key}
    assert not wrong(**setting(transport, CERTIFICATE=made.server.authority))
    assert not wrong(**setting(transport, CERTIFICATE=made.server.authority, **shown))


@TRANSPORTS
@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"])
def test_a_file_that_is_not_there_is_an_error(made, transport, name) -> None:
    files = {
        "CERTIFICATE": made.server.authority,
        "CLIENT_CERTIFICATE": made.client.chain,
        "CLIENT_KEY": made.client.key,
        name: "/no/such/file.pem",
    }
    finding = only(**setting(transport, **files))
    assert (finding.check, finding.level) == ("environment.certificate", "error")
    assert f"{PREFIX}{name}=/no/such/file.pem: there is no such file" in finding.summary


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_this_user_cannot_read_is_an_error(made, tmp_path) -> None:
    copy = tmp_path / "ca.crt"
    shutil.copy(made.server.authority, copy)
    copy.chmod(0)
    assert "this user can't read it" in only(**setting("grpc", CERTIFICATE=copy)).summary


def test_a_folder_is_an_authority_over_http_alone(made) -> None:
    folder = made.server.folder
    assert not wrong(**setting("http/protobuf", CERTIFICATE=folder))
    assert "it is a folder" in only(**setting("grpc", CERTIFICATE=folder)).summary


def test_an_authority_that_is_no_certificate_is_an_error(made) -> None:
    finding = only(**setting("http/protobuf", CERTIFICATE=made.server.key))
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
def test_an_expired_certificate_is_an_error(made, transport) -> None:
    files = {"CLIENT_CERTIFICATE": made.expired.chain, "CLIENT_KEY": made.expired.key}
    finding = only(**setting(transport, CERTIFICATE=made.server.authority, **files))
    assert (finding.check, finding.level) == ("environment.certificate", "error")
    assert "has expired" in finding.summary


@TRANSPORTS
def test_the_key_of_another_certificate_is_an_error(made, transport) -> None:
    files = {"CLIENT_CERTIFICATE": made.client.chain, "CLIENT_KEY": made.server.key}
    finding = only(**setting(transport, CERTIFICATE=made.server.authority, **files))
    assert "are no pair" in finding.summary


def test_an_encrypted_key_is_an_error_and_asks_for_no_password(made, tmp_path) -> None:
    locked = tmp_path / "locked.key"
    Authority(tmp_path, "any")._openssl(
        "pkey", "-in", made.client.key, "-aes256", "-passout", "pass:hunter2", "-out", locked
    )
    files = {"CLIENT_CERTIFICATE": made.client.chain, "CLIENT_KEY": locked}
    assert "the key is encrypted" in only(**setting("http/protobuf", **files)).summary


def test_a_key_without_its_certificate_is_an_error(made) -> None:
    finding = only(**setting("http/protobuf", CLIENT_KEY=made.client.key))
    assert f"is not used, as {PREFIX}CLIENT_CERTIFICATE is not set" in finding.summary


def test_a_certificate_may_hold_its_key_over_http_alone(made, tmp_path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(made.client.key.read_bytes() + made.client.chain.read_bytes())
    assert not wrong(**setting("http/protobuf", CLIENT_CERTIFICATE=both))
    found = wrong(**setting("grpc", CERTIFICATE=made.server.authority, CLIENT_CERTIFICATE=both))
    assert [one.summary.endswith(f"is not shown, as {PREFIX}CLIENT_KEY is not set") for one in found] == [True]
    assert (
        "holds no certificate with its key"
        in only(**setting("http/protobuf", CLIENT_CERTIFICATE=made.client.chain)).summary
    )


def test_a_client_certificate_without_an_authority_is_not_shown_over_grpc(made) -> None:
    files = {"CLIENT_CERTIFICATE": made.client.chain, "CLIENT_KEY": made.client.key}
    finding = only(**setting("grpc", **files))
    assert f"is not shown, as {PREFIX}CERTIFICATE is not set" in finding.summary
    assert not wrong(**setting("http/protobuf", **files))


def test_certificates_do_nothing_in_plain_text(made) -> None:
    finding = only(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://localhost:4318/v1/traces",
        **{f"{PREFIX}TRACES_CERTIFICATE": str(made.server.authority)},
    )
    assert finding.check == "environment.tls"
    assert "does nothing" in finding.summary
