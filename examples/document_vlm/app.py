"""The ASGI application: routes, health, and what is loaded and closed around them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from . import documents_api, images, openai_api
from .answering import Answering
from .errors import NotReady, RequestError
from .settings import Settings
from .store import Store

log = logging.getLogger(__name__)

_CLIENT_CLOSED_REQUEST = 499


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it begins to load the models when it is started.

    Args:
        settings: Options; those of the environment by default.

    Raises:
        BadSetting: A `DOCUMENT_VLM_*` variable holds what it can't.
    """
    settings = Settings.from_environment() if settings is None else settings
    images.quiet()
    store = Store(settings.database_url)
    answering = Answering(settings, store)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await store.open()
        loading = asyncio.create_task(answering.load())
        loading.add_done_callback(_say_how_loading_ended)
        try:
            yield
        finally:
            await asyncio.gather(loading, return_exceptions=True)
            answering.close()
            await store.close()

    app = FastAPI(title="document_vlm", lifespan=lifespan)
    app.state.answering = answering
    app.include_router(documents_api.router(answering, store))
    app.include_router(openai_api.router(answering))
    app.add_exception_handler(RequestError, _refuse)
    app.add_exception_handler(ClientDisconnect, _nobody_listens)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        """Both models are loaded."""
        if not answering.ready:
            raise NotReady("the models are still being loaded")
        return {"status": "ready"}

    return app


def _say_how_loading_ended(loading: asyncio.Task[None]) -> None:
    if loading.cancelled():
        return
    error = loading.exception()
    if error is None:
        log.info("both models are loaded")
    else:
        log.error("the models can't be loaded: %s", error)


async def _refuse(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestError):
        raise error
    if not isinstance(error, NotReady):  # who waits for readiness asks often
        log.warning("refused: %s", error.code)
    return JSONResponse(error.body(), error.status, error.headers)


async def _nobody_listens(_: Request, __: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)
