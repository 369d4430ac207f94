"""A route on a span is one that the application has, never the path of a request."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry.instrumentation import fastapi as instrumentation
from starlette.routing import Host

from otelext.distro import fastapi

app = FastAPI()
mounted = FastAPI()
router = APIRouter(prefix="/v1")
of_host = APIRouter()


@app.get("/health")
@router.get("/static")
@router.get("/claims/{number}")
@mounted.get("/deep")
@of_host.get("/patients/{number}")
def answer(number: str = "") -> str:
    return number


app.include_router(router)
app.mount("/mounted", mounted)
app.router.routes.append(Host("documents.example", app=of_host))


@pytest.mark.parametrize(
    ("path", "host", "route"),
    [
        ("/health", "any", "/health"),
        ("/v1/static", "any", "/v1/static"),
        ("/v1/claims/17", "any", "/v1/claims/{number}"),
        ("/mounted/deep", "any", "/mounted"),
        ("/nowhere", "any", None),
        ("/patients/kim", "documents.example", None),
    ],
)
def test_the_route_of_a_request(path: str, host: str, route: str | None) -> None:
    fastapi.prepare()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "headers": [(b"host", host.encode())],
        "app": app,
    }
    assert instrumentation._get_route_details(scope) == route
