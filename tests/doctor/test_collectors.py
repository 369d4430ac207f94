"""What Collectors say of themselves, as it is read from Prometheus; tests/stack asks a real one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from otelext.doctor.collectors import telemetry
from tests.collector.configurations import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

SORTING = ("filter/made_by_collectors", "filter/not_made_by_collectors", "filter/counted")


class Asked:
    """A Prometheus that answers by what is asked."""

    def __init__(self, answer: Callable[[str], list[Any]]) -> None:
        self.answer = answer
        self.expressions: list[str] = []

    def query(self, expression: str) -> list[Any]:
        self.expressions.append(expression)
        return self.answer(expression)


def test_filters_that_tell_streams_apart_lose_nothing() -> None:
    def answer(expression: str) -> list[Any]:
        names = (*SORTING, "filter/noise")
        return [({"filter": name}, 3.0) for name in names] if "filter_datapoints_filtered" in expression else []

    found = telemetry(Asked(answer), None, 0)  # type: ignore[arg-type]
    assert found.filtered["metrics"] == {"filter/noise": 3.0}
    gateway = (FOLDER / "gateway.yaml").read_text()
    assert all(f"\n  {name}:\n" in gateway for name in SORTING)


def test_a_counter_that_is_new_has_to_have_risen() -> None:
    asked = Asked(lambda _: [])
    telemetry(asked, None, 0)  # type: ignore[arg-type]
    new = [one for one in asked.expressions if " unless " in one]
    assert new
    # In PromQL a comparison binds closer than `unless`: only brackets around both of its sides compare its result.
    assert all(re.search(r"or \(\(sum by .* unless sum by .*\) > 0\)$", one) for one in new)


def test_a_sampler_that_waits_for_the_end_of_traces_is_known() -> None:
    late = Asked(lambda one: [({}, 1.0)] if "tail_sampling_sampling_traces_on_memory" in one else [])
    assert telemetry(late, None, 0).decides_late  # type: ignore[arg-type]
    assert not telemetry(Asked(lambda _: []), None, 0).decides_late  # type: ignore[arg-type]


def test_a_queue_of_a_collector_that_is_gone_is_not_the_queue_of_one_that_speaks() -> None:
    said = {70.0: {"otlp_grpc/jaeger": 289.0, "kafka": 2.0}, 100.0: {"otlp_grpc/jaeger": 0.0}}

    def answer(expression: str) -> list[Any]:
        moment = re.search(r">= ([0-9.]+)", expression) if "queue_size" in expression else None
        return [({"exporter": name}, size) for name, size in said[float(moment[1])].items()] if moment else []

    found = telemetry(Asked(answer), None, 100 * 10**9)  # type: ignore[arg-type]
    assert found.queued["traces"] == {"kafka": 2.0}
