"""A service whose answers take no time, to be run under `opentelemetry-instrument` with uvicorn: python service.py PORT."""

from __future__ import annotations

import logging
import sys

import uvicorn
from fastapi import FastAPI

import otelext

app = FastAPI()
log = logging.getLogger("service")


@app.get("/ready")
async def ready() -> bool:
    return True


@app.get("/answer")
async def answer() -> str:
    with otelext.inference("chat", model="instant"), otelext.stage("prefill"):
        log.warning("answered")
    return "42"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
