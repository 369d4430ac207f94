"""Certificates that the `openssl` command makes, and what shows them."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc

if TYPE_CHECKING:
    from pathlib import Path

_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """A folder as Kubernetes mounts a secret of cert-manager."""

    folder: Path

    @property
    def chain(self) -> Path:
        return self.folder / "tls.crt"

    @property
    def key(self) -> Path:
        return self.folder / "tls.key"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"


class Authority:
    """One that signs certificates, by the `openssl` command."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._certificate, self._key = folder / f"{name}.crt", folder / f"{name}.key"
        made = ("-keyout", self._key, "-out", self._certificate)
        self._openssl("req", "-x509", "-days", "2", *_NEW_KEY, *made, "-subj", f"/CN={name}")

    def issue(self, name: str, days: int = 1) -> Certificate:
        """A certificate for loopback; one of -1 days has expired."""
        made = Certificate(self._folder / name)
        made.folder.mkdir()
        request, extensions = made.folder / "request", made.folder / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._openssl("req", "-new", *_NEW_KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
        signed_by = ("-CA", self._certificate, "-CAkey", self._key, "-CAcreateserial")
        more = ("-days", str(days), "-extfile", extensions, "-out", made.chain)
        self._openssl("x509", "-req", "-in", request, *signed_by, *more)
        made.authority.write_bytes(self._certificate.read_bytes())
        return made

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Certificates:
    server: Certificate
    client: Certificate
    expired: Certificate
    foreign: Certificate

    def context(self, shown: Certificate | None) -> ssl.SSLContext:
        """TLS that knows the server's authority."""
        context = ssl.create_default_context(cafile=str(self.server.authority))
        if shown:
            context.load_cert_chain(shown.chain, shown.key)
        return context

    def grpc(self, shown: Certificate | None) -> grpc.ChannelCredentials:
        key, chain = (shown.key.read_bytes(), shown.chain.read_bytes()) if shown else (None, None)
        return grpc.ssl_channel_credentials(self.server.authority.read_bytes(), key, chain)

    @classmethod
    def made(cls, folder: Path) -> Certificates:
        ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
        expired = ours.issue("expired", days=-1)
        return cls(ours.issue("server"), ours.issue("client"), expired, theirs.issue("foreign"))
