"""What the canonical line of an inference says: the figures of its span, and what a span has no attributes for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelext import semconv
from otelext.capture import timing

if TYPE_CHECKING:
    from otelext.capture.inference import Inference


def attributes_of(inference: Inference) -> dict[str, Any]:
    """The attributes of an ended inference's line, as `docs/measurement.md` lists them; values as they are in here."""
    figures = timing.Figures(inference)
    found: dict[str, Any] = {**inference.baggage, **timing.span_attributes(inference, figures)}
    end_ns = inference.end_ns or inference.start_ns
    found[semconv.DURATION] = (end_ns - inference.start_ns) / 1e9
    for name, ns in _by_known_stage(figures.breakdown_ns or {}).items():
        found[name] = ns / 1e9
    queued_ns = _queued_ns(inference, end_ns)
    if queued_ns is not None:
        found[semconv.TIME_IN_QUEUE] = queued_ns / 1e9
    if inference.mismatches:
        found[semconv.CRITICAL_FIELD_MISMATCHES] = tuple(inference.mismatches)
    return found


def _by_known_stage(breakdown_ns: dict[str, int]) -> dict[str, int]:
    parts: dict[str, int] = {}
    for stage, ns in breakdown_ns.items():
        name = semconv.STAGE_TIMES.get(stage) or semconv.STAGE_TIMES[semconv.OTHER]
        parts[name] = parts.get(name, 0) + ns
    return parts


def _queued_ns(inference: Inference, end_ns: int) -> int | None:
    """Nanoseconds in stages named `queue`; those still open at the end count up to it. None without such a stage."""
    queued = None
    for running in tuple(inference.stages):
        if running.name == semconv.STAGE_QUEUE:
            until = end_ns if running.end_ns is None else running.end_ns
            queued = (queued or 0) + max(0, until - running.start_ns - running.held_ns)
    return queued
