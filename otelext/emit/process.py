"""The process's one worker, made when first imported; its thread starts with the first record."""

from __future__ import annotations

from typing import Final

from otelext.emit.handle import Handler
from otelext.emit.worker import Worker

HANDLER: Final = Handler()
WORKER: Final = Worker(HANDLER, HANDLER.after_batch)
HANDLER.worker = WORKER
