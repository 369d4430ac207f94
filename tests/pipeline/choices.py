"""Every choice that `otelext collector render` takes, and few that have each pair of values."""

from __future__ import annotations

from functools import cache
from itertools import chain, combinations, product
from typing import TYPE_CHECKING

from otelext.pipeline.options import AUTH, KAFKA, LOGS, METRICS, SAMPLING, TIERS, TRACES, OptionError, Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_AUTHS = [frozenset(chosen) for count in range(len(AUTH) + 1) for chosen in combinations(AUTH, count)]


@cache
def every() -> list[Options]:
    """All that go together; a choice that is not made is the same as its default."""
    found: dict[Options, None] = {}
    parts = (TIERS, (None, *TRACES), (None, *METRICS), (None, *LOGS), (None, *SAMPLING), _AUTHS, (None, *KAFKA))
    for chosen in product(*parts):
        try:
            found[Options(*chosen)] = None
        except OptionError:
            continue
    return list(found)


def pairwise(options: Iterable[Options]) -> list[Options]:
    """Some of them, in which each pair of values is that is in any: always the one that brings the most."""
    left = {option: set(_pairs(option)) for option in options}
    missing = set(chain.from_iterable(left.values()))
    chosen = []
    while missing:
        best = max(left, key=lambda option: len(left[option] & missing))
        chosen.append(best)
        missing -= left.pop(best)
    return chosen


def _pairs(options: Options) -> Iterator[tuple[tuple[str, object], tuple[str, object]]]:
    names = ("tier", "traces", "metrics", "logs", "sampling", "auth", "kafka")
    return combinations([(name, getattr(options, name)) for name in names], 2)
