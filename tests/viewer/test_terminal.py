from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from otelext import semconv
from otelext.viewer.report import build_report
from otelext.viewer.signals import TRACES
from otelext.viewer.terminal import print_report
from tests.viewer import messages

if TYPE_CHECKING:
    from otelext.viewer.store import Store


def printed(store: Store, model: str, width: int = 80) -> list[str]:
    request = messages.traces(3)
    for span in request.resource_spans[0].scope_spans[0].spans:
        (found,) = (pair for pair in span.attributes if pair.key == semconv.REQUEST_MODEL)
        found.value.string_value = model
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
