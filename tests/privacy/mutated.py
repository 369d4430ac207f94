"""Puts a secret in every place of the service, once for each line on standard input, which names what is taken out.

Run under `opentelemetry-instrument`. An empty line takes nothing out. Answers a line when all has left the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import httpx

import otelext
from tests.privacy import service
from tests.privacy.asking import ask
from tests.privacy.mutations import MUTATIONS, taken_out


async def _ask() -> None:
    # An error of the application is the answer, as with a server.
    transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service", trust_env=False) as client:
        await ask(client, secrets)


secrets = json.loads(Path(os.environ["CANARY_SECRETS"]).read_text())
for line in sys.stdin:
    name = line.strip()
    with taken_out(MUTATIONS[name]) if name else nullcontext():
        asyncio.run(_ask())
        flushed = otelext.force_flush(10)
    sys.stdout.write("flushed\n" if flushed else "not flushed\n")
    sys.stdout.flush()
