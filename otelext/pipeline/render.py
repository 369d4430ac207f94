"""A configuration of the Collector for a set of choices, with comments that are true of it."""

from __future__ import annotations

from otelext.pipeline.commented import dump, load
from otelext.pipeline.options import Options  # noqa: TC001 (callers read annotations)
from otelext.pipeline.templates import read
from otelext.pipeline.variants import access, agents, backends, heading, kafka, sampling
from otelext.pipeline.wiring import prune


def render(options: Options) -> str:
    """The text of the configuration; a tier's own file where nothing else was chosen."""
    root = load(read(f"{options.tier}.yaml"))
    for variant in (sampling, agents, backends, kafka, access, heading):
        variant.apply(root, options)
    prune(root)
    return dump(root)
