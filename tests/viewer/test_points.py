from __future__ import annotations

import gc
import tracemalloc

from otelext.viewer.points import flatten_points
from tests.viewer import messages


def streams(instance: str = "one", name: str = "c", model: str = "m") -> list[object]:
    request = messages.counter(name, 1, start_ns=1, time_ns=2, instance=instance, model=model)
    return [row[11] for row in flatten_points(request, 5).rows["points"]]


def test_a_stream_is_one_by_resource_name_and_attributes() -> None:
    assert streams() == streams()
    assert len({*streams(), *streams("two"), *streams(name="d"), *streams(model="n")}) == 4


def test_the_number_of_a_stream_is_that_of_stores_that_exist() -> None:
    assert streams() == [13_309_497_238_691_158_566]


def test_nothing_is_kept_of_resources_that_were_received() -> None:
    request = messages.counter("c", 1, start_ns=1, time_ns=2)
    padding = request.resource_metrics[0].resource.attributes.add(key="padding")
    flatten_points(request, 5)
    tracemalloc.start()
    try:
        for i in range(100):
            padding.value.string_value = f"{i:0>100000}"
            flatten_points(request, 5)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
