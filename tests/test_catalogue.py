"""The catalogue and what is really emitted are the same: names, units, kinds, buckets and attributes."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader, Sum
from opentelemetry.sdk.trace import SpanProcessor

import otelext
from otelext import _attach, facts, semconv
from otelext.asgi import OtelextMiddleware
from otelext.emit.limits import ValueLimits
from otelext.gpu.observed import Observed
from otelext.gpu.poller import Poller
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.rules import Rules
from otelext.semconv import METRICS, Kind, Producer
from otelext.testing import capture, nvml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.trace import Span

EMITTED = {name: row for name, row in METRICS.items() if row.producer is not Producer.FOREIGN}
"""What some room of otelext emits: a row that no scenario below reaches fails."""


class StartListener(SpanProcessor):
    """Looks at the start of each span, so that ordinary SDK spans have to be made."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: that the hook is there is what counts."""


@otelext.inference("chat", model="m", provider="acme", model_version="lora-1")
async def answer() -> AsyncIterator[str]:
    inf = otelext.current_inference()
    inf.set_input(images=2, pages=1, image_tokens=100)
    with otelext.stage("prefill"):
        pass
    yield "first"
    yield "second"
    inf.set_usage(input_tokens=120, output_tokens=2)


async def application(scope: Any, receive: Any, send: Any) -> None:
    async for _ in answer():
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_: object) -> None:
    """Take what is sent."""


async def inferences() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"version": "3.0"}}
    await OtelextMiddleware(application)(scope, receive, send)
    with pytest.raises(ValueError), otelext.inference("chat", model="m", provider="acme"):  # noqa: PT011
        raise ValueError


def every_fact() -> None:
    facts.queue("gpu", 2)
    facts.model_loaded("m")
    facts.cost(0.1, model="m")
    facts.critical_field("amount", correct=False)
    facts.accuracy(0.9, document_type="receipt", model="m")
    facts.confidence(0.9, document_type="receipt", model="m")
    facts.structured_output(valid=True, model="m")
    facts.cache("pages", hit=True)


GPUS = """
gpu0.utilization.gpu = 1
gpu0.utilization.memory = 1
gpu0.memory.total = 2
gpu0.memory.used = 1
gpu0.temperature.gpu = 1
gpu0.power = 1
gpu0.energy = 1
gpu0.pcie.rx = 1
gpu0.ecc.corrected = 1
gpu0.fan = 1
gpu0.clock.sm = 1
gpu0.throttle = 0
gpu0.pstate = 0
gpu0.gpm.sm = 1
gpu0.gpm.tensor = 1
gpu0.process.self = 1
gpu1.mig0.uuid = MIG-0
gpu1.mig0.memory.total = 2
gpu1.mig0.memory.used = 1
gpu1.mig0.gpm.graphics = 1
gpu1.mig0.gpm.sm = 1
gpu1.mig0.gpm.tensor = 1
gpu1.mig0.process.self = 1
"""


class Torch:
    """PyTorch, as far as its allocator goes."""

    class Properties:
        uuid = "0"

    cuda: Any = None

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def get_device_properties(self, number: int) -> Torch.Properties:
        return self.Properties()

    def memory_allocated(self, number: int) -> int:
        return 1

    def memory_reserved(self, number: int) -> int:
        return 2


class Shared:
    """The lease of the host and the account of its energy."""

    def hold(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing."""

    def after_fork(self) -> None:
        """Nothing."""

    def settle(self, *_: object) -> None:
        """Nothing."""

    def totals(self) -> dict[tuple[str | None, str, str], float]:
        return {("m", "active", "counter"): 1.0, (None, "idle", "counter"): 1.0}


@pytest.fixture
def gpus(nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """GPUs that tell everything, read by a poller."""
    torch = Torch()
    torch.cuda = torch
    torch.Properties.uuid = "MIG-0"
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(_attach, "_OBSERVED", dict(_attach._OBSERVED))
    with nvml.loaded(nvml_library, nvml.write_scenario(tmp_path / "scenario", GPUS)):
        poller = Poller(0.05, share=lambda: (Shared(), Shared()))
        _attach.observe({**Observed(poller).reads, semconv.REDACTED_TOTAL.name: COUNTS.read})
        poller.start()
        deadline = time.monotonic() + 20
        while (first := poller.snapshot) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        while poller.snapshot is first and time.monotonic() < deadline:
            time.sleep(0.01)
        poller.interval = 60  # what was read stays fresh
        yield
        poller.stop(10)


Emitted = dict[str, "list[Metric]"]


@pytest.fixture(params=["light", "sdk"])
async def emitted(gpus: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Emitted:
    """Every metric of otelext's scope after one scenario through the public interface."""
    monkeypatch.setattr(_attach, "limits", ValueLimits())
    reader = InMemoryMetricReader()
    lane = [StartListener()] if request.param == "sdk" else []
    Rules().attributes({"prompt": "secret"}, semconv.REDACTED_SPAN_ATTRIBUTE)
    with capture(span_processors=lane, metric_readers=[reader]) as captured:
        running = otelext.inference("chat", model="m")
        with running:  # one that is active while metrics are collected
            await inferences()
            every_fact()
            captured.inferences()  # drains the worker
            data = reader.get_metrics_data()
    assert data is not None
    found: Emitted = {}
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            assert scope.scope.name == semconv.SCOPE_NAME
            assert scope.schema_url == semconv.SCHEMA_URL
            for metric in scope.metrics:
                found.setdefault(metric.name, []).append(metric)
    return found


async def test_every_row_is_emitted_and_nothing_else(emitted: Emitted) -> None:
    assert set(EMITTED) - set(emitted) == set(), "in the catalogue, and nobody emits it"
    assert set(emitted) - set(EMITTED) == set(), "emitted, and not in the catalogue"


async def test_each_is_emitted_once_with_unit_description_kind_and_buckets(emitted: Emitted) -> None:
    for name, (metric,) in emitted.items():
        row = METRICS[name]
        assert (metric.unit, metric.description) == (row.unit, row.description), name
        assert kind(metric) is _as_data(row.kind), name
        if isinstance(metric.data, Histogram):
            assert row.buckets, name
            for point in metric.data.data_points:
                assert tuple(point.explicit_bounds) == row.buckets, name
        else:
            assert row.buckets == (), name


async def test_data_points_carry_the_rows_attributes_and_no_others(emitted: Emitted) -> None:
    for name, (metric,) in emitted.items():
        row = METRICS[name]
        carried = [set(point.attributes or ()) for point in metric.data.data_points]
        assert set().union(*carried) <= row.attribute_keys, name
        missing = set(row.attributes) - set().union(*carried)
        assert missing == set(), f"{name} never carries {missing}"
        if semconv.MODEL_VERSION in row.optional and row.producer is Producer.INFERENCE:
            assert semconv.MODEL_VERSION in set().union(*carried), name


async def test_spans_carry_attributes_of_the_catalogue_only() -> None:
    with capture() as captured:
        await inferences()
        carried = {key for span in captured.spans() for key in span.attributes or ()}
    assert carried <= semconv.SPAN_ATTRIBUTES


def kind(metric: Metric) -> Kind:
    """The kind as exported data tells it: it does not tell observable instruments from others."""
    data = metric.data
    if isinstance(data, Sum):
        return Kind.COUNTER if data.is_monotonic else Kind.OBSERVABLE_UP_DOWN_COUNTER
    return Kind.OBSERVABLE_GAUGE if isinstance(data, Gauge) else Kind.HISTOGRAM


def _as_data(declared: Kind) -> Kind:
    return Kind.COUNTER if declared is Kind.OBSERVABLE_COUNTER else declared


# --- the catalogue by itself ----------------------------------------------------------------------


@pytest.mark.parametrize("row", [*METRICS.values()], ids=[*METRICS])
def test_a_row_is_well_formed(row: semconv.Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", row.name)
    assert row.unit
    assert row.description.endswith(".")
    assert "\n" not in row.description
    assert not set(row.attributes) & set(row.optional)
    assert (row.kind is Kind.HISTOGRAM) == bool(row.buckets)
    assert list(row.buckets) == sorted(set(row.buckets))


def test_no_two_metrics_have_one_name_in_prometheus() -> None:
    """There dots are underscores."""
    translated = {re.sub(r"[^a-z0-9]", "_", name) for name in METRICS}
    assert len(translated) == len(METRICS)


def test_every_attribute_of_the_module_is_spelled_once() -> None:
    strings = [value for name, value in vars(semconv).items() if name.isupper() and isinstance(value, str)]
    names = [value for value in strings if "." in value and not value.startswith("http") and value in _attribute_keys()]
    assert sorted(names) == sorted(set(names))


def _attribute_keys() -> set[str]:
    return {key for row in METRICS.values() for key in row.attribute_keys} | semconv.SPAN_ATTRIBUTES
