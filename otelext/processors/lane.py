"""Which lane a provider's spans take, and where our processor stands among its processors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.environment_variables import OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    SpanProcessor,
    Tracer,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

from otelext.capture.failure import report
from otelext.processors.baggage import BaggageSpanProcessor
from otelext.processors.genai import GenAISpanProcessor
from otelext.processors.placing import MULTI, leaves
from otelext.processors.redaction.written import WrittenNameProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otelext.emit.worker import Worker

# What the one for baggage does at a start, capture does itself for our spans.
_IGNORE_STARTS: Final = (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    GenAISpanProcessor,
    BaggageSpanProcessor,
    WrittenNameProcessor,
)


def join(provider: Any, worker: Worker) -> None:  # the SDK's TracerProvider, or a subclass
    """Put our processor first among the provider's, once; one that the user added moves there.

    Where it can't be first it is appended, and only `otelext.force_flush()` is complete.
    """
    active: Any = getattr(provider, "_active_span_processor", None)
    given = [leaf for leaf in leaves(active) if isinstance(leaf, GenAISpanProcessor)]
    ours = given[0] if given else GenAISpanProcessor(worker)
    try:
        with active._lock:  # noqa: SLF001  # the SDK offers appending alone
            members = active._span_processors  # noqa: SLF001
            if given and (ours is members[0] or ours not in members):  # there already, or among others of the user's
                return
            active._span_processors = (ours, *(member for member in members if member is not ours))  # noqa: SLF001
        if isinstance(active, ConcurrentMultiSpanProcessor):  # first of those that run at the same time is not first
            report("otelext can't flush before a ConcurrentMultiSpanProcessor's others; use otelext.force_flush()")
    except (AttributeError, TypeError):
        if given:
            return
        try:
            provider.add_span_processor(ours)
        except Exception:  # noqa: BLE001  # the user's request goes on
            report("otelext could not add its span processor; only otelext.force_flush() is complete", exc_info=True)


def inspect(provider: Any, tracer: Any) -> tuple[bool, Callable[[], bool]]:  # the SDK's
    """Whether our light span can stand for the tracer's spans, and a quick test that the answer still holds.

    It can when nothing could tell: every leaf processor is known to ignore the start or inherits both hooks that
    run before the end, and the sampler decides for a whole inference at once.
    """
    active = getattr(provider, "_active_span_processor", None)
    nodes = [(node, node._span_processors) for node in _multis(active)]  # noqa: SLF001  # no public way to ask
    light = (
        type(tracer) is Tracer
        and tracer.span_processor is active
        and bool(nodes)
        and all(_ignores_start(leaf) for leaf in leaves(active))
        and _decides_at_once(tracer.sampler)
        and os.environ.get(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED, "").strip().lower() != "true"
    )
    if len(nodes) == 1:
        node, members = nodes[0]
        return light, lambda: node._span_processors is members  # noqa: SLF001
    return light, lambda: all(node._span_processors is members for node, members in nodes)  # noqa: SLF001


def _multis(processor: object) -> Iterator[Any]:
    if isinstance(processor, MULTI):
        yield processor
        for member in processor._span_processors:  # noqa: SLF001
            yield from _multis(member)


def _ignores_start(leaf: object) -> bool:
    if type(leaf) in _IGNORE_STARTS:
        return True
    if not isinstance(leaf, SpanProcessor):
        return False
    kind = type(leaf)
    return kind.on_start is SpanProcessor.on_start and kind._on_ending is SpanProcessor._on_ending  # noqa: SLF001


def _decides_at_once(sampler: object) -> bool:
    if sampler is ALWAYS_ON or sampler is ALWAYS_OFF:
        return True
    return (
        type(sampler) is ParentBased
        and sampler._local_parent_sampled is ALWAYS_ON  # noqa: SLF001
        and sampler._local_parent_not_sampled is ALWAYS_OFF  # noqa: SLF001
    )
