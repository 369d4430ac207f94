"""Where a report comes from: a running viewer, asked over HTTP, or a store's file that nobody holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httpx

from otelext.viewer.errors import QueryError, StoreError, StoreLockedError, UnreachableError
from otelext.viewer.formats import plain
from otelext.viewer.report import build_report
from otelext.viewer.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otelext.viewer.figures import Report

_TIMEOUT_S = 60.0


def ask_viewer(url: str, since_s: float | None, slowest: int, services: Sequence[str] = ()) -> Report:
    """The report of a running viewer.

    Args:
        url: The viewer's address; without a scheme it is one of HTTP.
        since_s: How far back to look, in seconds; None for everything.
        slowest: How many of the slowest inferences to show.
        services: Only of these services; empty takes all.

    Raises:
        UnreachableError: No viewer answers there; the message says how to start one, or which port is right.
        QueryError: The viewer cannot answer what is asked.
    """
    url = url if "://" in url else f"http://{url}"
    since = "all" if since_s is None else f"{since_s:f}s"
    query = {"since": since, "slowest": str(slowest), "service": list(services)}
    try:
        # Proxies of the environment are for the outer world; a viewer is asked directly.
        with httpx.Client(trust_env=False, timeout=_TIMEOUT_S) as client:
            answer = client.get(f"{url.rstrip('/')}/api/report", params=query)
    except httpx.RemoteProtocolError as error:  # gRPC, for one, does not speak HTTP/1
        raise UnreachableError(_no_viewer(url, str(error))) from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreachableError(
            f"no viewer answers at {url} ({reason}): start one with `otelext view`, or name another with --url"
        ) from error
    return _report_in(answer, url)


def _report_in(answer: httpx.Response, url: str) -> Report:
    try:
        found = answer.json()
    except ValueError:
        found = None
    body = found if isinstance(found, dict) else {}
    if answer.is_success and "requests" in body:
        return cast("Report", body)
    if answer.status_code == httpx.codes.BAD_REQUEST and "error" in body:
        raise QueryError(plain(str(body["error"])))
    port = body.get("report_port")
    if isinstance(port, int) and 0 < port < 2**16:
        right = answer.url.copy_with(port=port, raw_path=b"/")
        raise UnreachableError(
            f"{url} is where a viewer receives OTLP; its report is at --url {str(right).rstrip('/')}"
        )
    raise UnreachableError(_no_viewer(url, f"{answer.status_code} {answer.reason_phrase}"))


def _no_viewer(url: str, reason: str) -> str:
    return (
        f"what answers at {url} has no report ({reason}): name the address that `otelext view` printed as "
        "`report and API`, with port 8321 unless --port said otherwise; 4317 and 4318 are ports of OTLP"
    )


def read_store(path: Path, since_s: float | None, slowest: int, services: Sequence[str] = ()) -> Report:
    """The report of a store's file.

    Args:
        path: The file.
        since_s: How far back to look, in seconds; None for everything.
        slowest: How many of the slowest inferences to show.
        services: Only of these services; empty takes all.

    Raises:
        StoreError: The file is missing, held by a running viewer, or no store; the message says what to do.
        QueryError: The store cannot answer what is asked.
    """
    if not path.is_file():
        raise StoreError(f"there is no store {path}: `otelext view --store {path}` makes one")
    try:
        with Store(path, read_only=True) as store, store.reading() as reader:
            return build_report(reader, since_s, slowest, services=services)
    except StoreLockedError as error:
        raise StoreLockedError(
            f"{error}, most likely a running viewer: ask that one with `otelext report --url http://HOST:PORT`"
        ) from error
