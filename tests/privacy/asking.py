"""The requests of a client that puts a secret wherever a request has room for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from tests.privacy.traces_of import Secret

_TRACE_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def ask(client: httpx.AsyncClient, secrets: Mapping[str, Secret]) -> dict[str, str]:
    """Ask for everything that the service does.

    Args:
        client: Knows where the service is.
        secrets: By place.

    Returns:
        What went wrong at each place of the service's own; empty where nothing did.
    """
    s = {name: str(secret) for name, secret in secrets.items()}
    answer = await client.post(
        f"/documents/{s['path parameter']}",
        params={"name": s["query string"], s["query key"]: "1"},
        files={"page": (f"{s['file name']}.png", b"\x89PNG\r\n\x1a\n" + s["image bytes"].encode() * 2, "image/png")},
        data={"prompt": f"What does {s['form field']} have?"},
        headers={
            "x-patient": s["request header"],
            f"x-{s['request header name']}": "1",
            "cookie": f"session={s['cookie']}",
            "user-agent": s["user agent"],
            "x-forwarded-for": s["forwarded address"],
            "host": f"{s['host header']}.example",
            "tracestate": f"clinic={s['trace state']}",
            "traceparent": _TRACE_PARENT,
            "baggage": (
                f"clinic.patient={s['baggage from outside']},tenant.id={s['tenant from outside']},"
                f"user.id={s['user from outside']},request.id={s['request id from outside in baggage']}"
            ),
            "x-request-id": f"{s['request id that is malformed']}/{s['request id that is malformed']}",
        },
    )
    assert answer.status_code == 200, answer.text
    assert s["response text"] in answer.text
    assert (await client.get(f"/nowhere/{s['unmatched path']}")).status_code == 404
    assert (await client.get("/fails")).status_code == 500
    for path in ("/loose-task", "/named-task"):
        assert (await client.post(path)).status_code == 200
    told = await client.post("/places")
    assert told.status_code == 200, told.text
    found: dict[str, str] = told.json()
    return found
