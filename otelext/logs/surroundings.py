"""What the context around a log line says of it: the request, the inference and the stage that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelext import semconv
from otelext.capture.baggage import whose
from otelext.capture.context import enclosing, open_inference
from otelext.capture.stage import RunningStage

if TYPE_CHECKING:
    from opentelemetry.context import Context


def surroundings(context: Context) -> dict[str, Any]:
    """Attributes of whatever happens in `context`, as they are known inside the process."""
    found: dict[str, Any] = {**whose(context)}
    scope = enclosing(context)
    if scope is None:
        return found
    inference = open_inference(context)
    if inference is not None and inference.model is not None:
        found[semconv.REQUEST_MODEL] = inference.model
    while scope is not None and scope.end_ns is not None:
        scope = enclosing(scope.outer)
    if isinstance(scope, RunningStage):
        found[semconv.STAGE] = scope.name
    return found
