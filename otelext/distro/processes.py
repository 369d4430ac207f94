"""Which process this is: one that serves, a sibling that was spawned, or the bookkeeping of multiprocessing."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from opentelemetry.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED

from otelext import semconv
from otelext.capture.failure import report_setup

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_bookkeeping(argv: Sequence[str] | None = None) -> bool:
    """Whether this is the resource tracker of multiprocessing, which `uvicorn --workers` starts beside its workers."""
    argv = sys.orig_argv if argv is None else argv
    return any(argument.startswith("from multiprocessing.resource_tracker import") for argument in argv)


def is_spawned(argv: Sequence[str] | None = None) -> bool:
    """Whether multiprocessing spawned this process, so that siblings share its environment."""
    return "--multiprocessing-fork" in (sys.orig_argv if argv is None else argv)


def is_disabled() -> bool:
    """Whether the user turned the SDK off."""
    return os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true"


def warn_of_shared_instance_id() -> None:
    """Say that a `service.instance.id` of the user's is not one process's alone.

    The SDK makes one for each process, and a new one after a fork, also in place of the user's. Spawned workers
    all take the user's: their cumulative counters then overwrite each other at the receiver.
    """
    attributes = os.environ.get(OTEL_RESOURCE_ATTRIBUTES, "")
    keys = {item.partition("=")[0].strip() for item in attributes.split(",")}
    if semconv.SERVICE_INSTANCE_ID in keys and is_spawned():
        report_setup(
            "otelext: %s sets %s, which every worker process then shares, so that their counters overwrite each other;"
            " leave it out and each process gets one of its own",
            OTEL_RESOURCE_ATTRIBUTES,
            semconv.SERVICE_INSTANCE_ID,
        )
