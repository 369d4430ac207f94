"""Where a report comes from: a running viewer, asked over HTTP, or a store's file that nobody holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httpx

from otelext.viewer.errors import StoreError, StoreLockedError, UnreachableError
from otelext.viewer.report import build_report
from otelext.viewer.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from otelext.viewer.figures import Report

_TIMEOUT_S = 60.0


def ask_viewer(url: str, since_s: float | None, slowest: int) -> Report:
    """The report of a running viewer.

    Args:
        url: The viewer's address; without a scheme it is one of HTTP.
        since_s: How far back to look, in seconds; None for everything.
        slowest: How many of the slowest inferences to show.

    Raises:
        UnreachableError: No viewer answers there; the message says how to start one.
    """
    url = url if "://" in url else f"http://{url}"
    query = {"since": "all" if since_s is None else f"{since_s:f}s", "slowest": str(slowest)}
    try:
        # Proxies of the environment are for the outer world; a viewer is asked directly.
        with httpx.Client(trust_env=False, timeout=_TIMEOUT_S) as client:
            answer = client.get(f"{url.rstrip('/')}/api/report", params=query)
        answer.raise_for_status()
        report = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreachableError(
            f"no viewer answers at {url} ({reason}): start one with `otelext view`, or name another with --url"
        ) from error
    if not isinstance(report, dict) or "requests" not in report:
        raise UnreachableError(f"what answers at {url} is no otelext viewer: name another address with --url")
    return cast("Report", report)


def read_store(path: Path, since_s: float | None, slowest: int) -> Report:
    """The report of a store's file.

    Args:
        path: The file.
        since_s: How far back to look, in seconds; None for everything.
        slowest: How many of the slowest inferences to show.

    Raises:
        StoreError: The file is missing, held by a running viewer, or no store; the message says what to do.
    """
    if not path.is_file():
        raise StoreError(f"there is no store {path}: `otelext view --store {path}` makes one")
    try:
        with Store(path, read_only=True) as store, store.reading() as reader:
            return build_report(reader, since_s, slowest)
    except StoreLockedError as error:
        raise StoreLockedError(
            f"{error}, most likely a running viewer: ask that one with `otelext report --url http://HOST:PORT`"
        ) from error
