"""Why a backend can't be asked for what was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otelext.doctor.causes.cause import Cause
from otelext.doctor.settings import PREFIX

if TYPE_CHECKING:
    from otelext.doctor.backends.health import Health
    from otelext.doctor.settings import Access

_REFUSED: Final = frozenset({401, 403})
_SERVER_ERROR: Final = 500


def why_not_asked(access: Access, health: Health, full: tuple[str, ...] = ()) -> Cause:
    """The most likely cause that a backend gives no answer that helps.

    Args:
        access: Where it was asked.
        health: How it was found.
        full: Disks without space of the machine that it runs on, as far as they are known.
    """
    name = access.product.capitalize()
    another = f"{access.option} URL names another, --skip {access.product} leaves it out"
    headers = f"{PREFIX}{access.product.upper()}_HEADERS"
    shows = any(header == "authorization" for header, _ in access.headers) or "@" in urlsplit(access.url).netloc
    said = (f"{access.shown}: {health.text}",) if health.text else ()
    if health.status in _REFUSED:
        if "org id" in health.text.lower():
            return Cause(
                f"{name} keeps several tenants apart, and none is named",
                f"export {headers}=X-Scope-OrgID=TENANT",
                said,
            )
        kind = "are wrong" if shows else "are missing"
        return Cause(
            f"the credentials for {name}'s API {kind}",
            f"export {headers}=Authorization=Bearer%20TOKEN   (or https://USER:PASSWORD@... as its address)",
            said,
        )
    if health.status is not None and health.status >= _SERVER_ERROR:
        return Cause(
            f"{name} has an error of its own, or is not ready yet: {health.text}",
            f"curl -i {access.shown}/ready   (and look into its log)",
            said,
        )
    if health.status is not None:
        return Cause(f"what answers at {access.shown} is not the API of {name}", f"otelext doctor {another}", said)
    why = health.trouble
    if why is not None and why.kind in {"untrusted", "tls", "file"}:
        return Cause(
            f"TLS fails with {name}: {why.text}",
            f"export {PREFIX}CERTIFICATE=ca.crt   (and {PREFIX}CLIENT_CERTIFICATE and {PREFIX}CLIENT_KEY, if it asks for"
            " one; http:// if it speaks plain text)",
            said,
        )
    if why is not None and why.kind == "unresolved":
        return Cause(f"the name in {access.shown} has no address here", f"otelext doctor {another}", said)
    if why is not None and why.kind == "refused":
        start = f"docker compose -f docker-compose.otel.yml up --detach {access.product}"
        if full:
            return Cause(
                f"{name} is down, and the disk at {' and '.join(full)} is full: a store that can't write ends",
                f"df -h {' '.join(full)}   (give it space, or keep less: TELEMETRY_RETENTION; then {start})",
                said,
            )
        where = "" if access.given else ", the default address"
        return Cause(
            f"{name} is down, or not at {access.shown}{where}: nothing listens there",
            f"{start}   ({another})",
            said,
        )
    return Cause(f"{name} gives no answer at {access.shown}: {health.text}", f"curl -v {access.shown}", said)
