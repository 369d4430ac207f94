"""Counters out of what a server says of itself at `/metrics`, in Prometheus' text format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.doctor.backends.api import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.backends.api import Api

# https://prometheus.io/docs/instrumenting/exposition_formats/: name, labels, value.
_SAMPLE: Final = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?P<labels>\{.*\})?\s+(?P<value>\S+)", re.MULTILINE)

_OK: Final = 200


def counters(text: str, names: frozenset[str]) -> dict[str, float]:
    """The samples of some metrics, by name and labels as they are written."""
    found = {}
    for sample in _SAMPLE.finditer(text):
        if sample["name"] in names:
            try:
                found[f"{sample['name']}{sample['labels'] or ''}"] = float(sample["value"])
            except ValueError:
                continue
    return found


def scraped(api: Api, names: frozenset[str]) -> Mapping[str, float]:
    """What a server counts of itself so far, as `counters`; empty where it does not tell."""
    try:
        response = api.get("/metrics")
    except UnansweredError:
        return {}
    return counters(response.text, names) if response.status == _OK else {}


def risen(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """By how much each counter rose, of those that did; one that began anew counts from 0."""
    rises = {}
    for name, value in after.items():
        start = before.get(name, 0.0)
        rise = value - start if value >= start else value
        if rise > 0:
            rises[name] = rise
    return rises
