"""The order in which processors stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline.finding import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.configuration import Configuration, Pipeline

NOT_FIRST: Final = Rule(
    "memory-limiter-not-first",
    "warning",
    "memory_limiter behind another processor",
    "What stands before it works on data that is then refused, and a processor that answers at once makes the refusal a loss.",
)
MISSING: Final = Rule(
    "no-memory-limiter",
    "warning",
    "A pipeline without memory_limiter",
    "Under load the Collector is ended by the kernel with all that it holds, instead of telling senders to try again.",
)
SAMPLED: Final = Rule(
    "sampled-before-counted",
    "warning",
    "Metrics made of spans behind a sampler",
    "They count the spans that were kept, so that rates, errors and durations are wrong.",
)
RULES: Final = (NOT_FIRST, MISSING, SAMPLED)

_SAMPLERS: Final = ("tail_sampling", "probabilistic_sampler")
_COUNTERS: Final = {"span_metrics", "spanmetrics", "service_graph", "servicegraph"}


def check(config: Configuration) -> Iterator[Finding]:
    """Look at each pipeline."""
    for pipeline in config.pipelines:
        yield from _limiter(config, pipeline)
        yield from _sampled(config, pipeline)


def _limiter(config: Configuration, pipeline: Pipeline) -> Iterator[Finding]:
    types = [use.id.partition("/")[0] for use in pipeline.processors]
    if "memory_limiter" in types[1:] and types[0] != "memory_limiter":
        place = pipeline.processors[types.index("memory_limiter")].place
        yield Finding(
            NOT_FIRST,
            place,
            f"in {pipeline.id} memory_limiter stands behind {pipeline.processors[0].id}",
            "put it first",
        )
    # What comes by connectors has passed a limiter already.
    entered = [use for use in pipeline.receivers if use.id not in config.declared["connector"]]
    if entered and "memory_limiter" not in types and "processor" not in pipeline.unseen:
        yield Finding(
            MISSING, pipeline.place, f"{pipeline.id} has no memory_limiter", "processors: [memory_limiter, ...]"
        )


def _sampled(config: Configuration, pipeline: Pipeline) -> Iterator[Finding]:
    samplers = [use for use in pipeline.processors if use.id.partition("/")[0] in _SAMPLERS]
    if not samplers or pipeline.signal != "traces":
        return
    kept = [pipeline, *(onward for onward in config.reached_from(pipeline) if onward.signal == "traces")]
    counters = {use.id for onward in kept for use in onward.exporters if use.id.partition("/")[0] in _COUNTERS}
    for counter in sorted(counters & config.declared["connector"].keys()):
        yield Finding(
            SAMPLED,
            samplers[0].place,
            f"in {pipeline.id} {samplers[0].id} comes before {counter}",
            f"a second pipeline with the same receivers, without {samplers[0].id}, whose exporter is {counter}",
        )
