from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from otelext import semconv
from otelext.viewer.formats import counted
from otelext.viewer.report import build_report
from otelext.viewer.signals import TRACES
from otelext.viewer.terminal import print_report
from tests.viewer import messages

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from otelext.viewer.store import Store


def printed(store: Store, model: str, width: int = 80) -> list[str]:
    request = messages.traces(3)
    for span in request.resource_spans[0].scope_spans[0].spans:
        (found,) = (pair for pair in span.attributes if pair.key == semconv.REQUEST_MODEL)
        found.value.string_value = model
    return lines_of(store, request, width)


def lines_of(store: Store, request: ExportTraceServiceRequest, width: int = 80) -> list[str]:
    store.submit(TRACES.flatten(request, time.time_ns()).rows).result(30)
    out = io.StringIO()
    with store.reading() as reader:
        print_report(build_report(reader), Console(file=out, width=width, color_system=None))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("model", ["tiny", "smollm2-135m-instruct", "a-model-name-of-thirty-eight-characters"])
def test_a_model_s_name_stays_whole_and_its_bar_gives_way(store: Store, model: str) -> None:
    lines = printed(store, model)
    (row,) = (line for line in lines if "100.0 %" in line and "completed" in line)
    assert row.startswith(f"{model} ")
    assert 8 <= row.count("█") <= 28
    assert max(map(len, lines)) <= 80


def test_a_name_that_cannot_fit_is_folded_and_not_cut(store: Store) -> None:
    model = "long-" * 20
    lines = printed(store, model)
    assert max(map(len, lines)) <= 80
    table = lines[lines.index(next(line for line in lines if line.startswith("model"))) + 2 :]
    assert "".join(line.split(" ")[0] for line in table[: table.index("")]).replace("█", "") == model


def test_without_metrics_there_are_no_amounts(store: Store) -> None:
    text = "\n".join(printed(store, "tiny"))
    assert "Requests: 3" in text
    for absent in ("tokens", "pages", "Throughput", "Wasted"):
        assert absent not in text


def test_an_axis_that_begins_before_the_inference_shows_where_it_starts(store: Store) -> None:
    request = messages.traces(2, trace_id=b"t" * 16)
    server, inference = request.resource_spans[0].scope_spans[0].spans
    server.ClearField("attributes")
    server.name = "POST /documents"
    inference.parent_span_id = server.span_id
    inference.start_time_unix_nano = (server.start_time_unix_nano + inference.end_time_unix_nano) // 2
    lines = lines_of(store, request)
    (heading,) = (line for line in lines if line.startswith("Slowest requests"))
    assert "0 is the inference's start" in heading
    (bar,) = (line for line in lines if line.startswith("  chat tiny-vlm "))
    axis = lines[lines.index(bar) + 1]
    assert axis.split() == ["-500", "ms", "0", "500", "ms"]
    assert axis.index(" 0 ") + 1 == bar.index("\u2501")


@pytest.mark.parametrize(("value", "text"), [(1, "1 trace"), (1.0, "1 trace"), (2, "2 traces"), (0, "0 traces")])
def test_a_noun_agrees_with_its_count(value: float, text: str) -> None:
    assert counted(value, "trace") == text
