"""Proxies between the service and the receiver, and authorities that take the place of the one that is set."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from otelext.doctor.finding import Finding
from otelext.doctor.otlp_variables import bundle
from otelext.doctor.shown import address, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelext.doctor.environment.exports import Export

_PROXY: Final = "environment.proxy"
# Lower case alone, the first that is set: https://github.com/grpc/grpc/blob/master/doc/environment_variables.md
_GRPC_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_GRPC_EXCEPTIONS: Final = ("no_grpc_proxy", "no_proxy")
_HTTP_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_LOOPBACK: Final = "localhost"


def examine(export: Export, environ: Mapping[str, str]) -> Iterator[Finding]:
    """A finding where one exporter's telemetry goes through a proxy, or is checked by another authority."""
    parts = export.parts
    if parts is None or (host := parts.hostname) is None:
        return
    found = _of_grpc(host, environ) if export.transport == "grpc" else _of_http(export, environ)
    if found is not None:
        variable, exceptions = found
        near = _is_loopback(host)
        receiver = address(f"{parts.scheme}://{parts.netloc}" if parts.scheme else parts.netloc)
        yield Finding(
            _PROXY,
            "error" if near else "warning",
            f"{shown(variable, environ[variable])} catches {export.transport} to {receiver}",
            "A proxy can't reach this machine's loopback address."
            if near
            else "The proxy has to let it through: gRPC needs CONNECT to that port, HTTP a POST to it.",
            f"export {_with(exceptions, host, environ)}",
        )
    if export.transport == "http/protobuf" and export.uses_tls:
        yield from _bundle(export, environ)


def _of_grpc(host: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]] | None:
    variable = next((name for name in _GRPC_PROXIES if environ.get(name)), None)
    if variable is None or not environ[variable].startswith("http://"):  # gRPC leaves out all others
        return None
    excepted = next((environ[name] for name in _GRPC_EXCEPTIONS if environ.get(name)), "")
    for entry in (part.strip().lower().lstrip(".") for part in excepted.split(",")):
        if entry and (f".{host.lower()}".endswith(f".{entry}") or _is_in(host, entry)):
            return None
    return variable, (_GRPC_EXCEPTIONS if environ.get("no_grpc_proxy") else ("no_proxy",))


def _of_http(export: Export, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]] | None:
    """As requests does: https://requests.readthedocs.io/en/latest/user/advanced/#proxies."""
    name = next(
        (name for wanted in (f"{export.scheme}_proxy", "all_proxy") if (name := _spelled(wanted, environ))), None
    )
    if name is None:
        return None
    excepted = next((environ[spelled] for spelled in _HTTP_EXCEPTIONS if environ.get(spelled)), "")
    try:
        from requests.utils import should_bypass_proxies  # noqa: PLC0415  # comes with the exporter
    except ImportError:
        return None
    return None if should_bypass_proxies(export.url, excepted) else (name, _HTTP_EXCEPTIONS)


def _spelled(name: str, environ: Mapping[str, str]) -> str | None:
    """The variable that counts, None where none is set: one in small letters goes before, also where it is empty."""
    spelled = name if name in environ else name.upper()
    return spelled if environ.get(spelled) else None


def _with(variables: tuple[str, ...], host: str, environ: Mapping[str, str]) -> str:
    """The exceptions with one more, in the variable that is read."""
    variable = next((name for name in variables if environ.get(name)), variables[0])
    before = environ.get(variable, "").strip().rstrip(",")
    return f"{variable}={before},{host}" if before else f"{variable}={host}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _LOOPBACK or host.endswith(f".{_LOOPBACK}")


def _is_in(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _bundle(export: Export, environ: Mapping[str, str]) -> Iterator[Finding]:
    authority = export.setting("CERTIFICATE")
    other = bundle(environ)
    if other is not None and authority.value and environ[other] != authority.value:
        yield Finding(
            "environment.authority",
            "warning",
            f"{shown(other, environ[other])} is used instead of {shown(authority.variable, authority.value)}",
            "requests, by which the SDK exports over HTTP, lets the variable win over what it is given.",
            f"unset {other}, or add the certificates of {authority.value} to that file",
        )
