"""Facts reach their metrics from anywhere in the user's code, once, and never cost a request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import otelext
from otelext import _attach, facts
from otelext.capture import failure, gauges
from otelext.emit.limits import ValueLimits
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otelext.testing import Captured


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts without queues, loaded models, known values and messages of the last minute."""
    monkeypatch.setattr(failure, "_last", {})
    # Which values have a place in attributes is the process's to remember.
    monkeypatch.setattr(_attach, "limits", ValueLimits())
    gauges.QUEUES.clear()
    gauges.LOADED_MODELS.clear()
    yield
    gauges.QUEUES.clear()
    gauges.LOADED_MODELS.clear()


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as found:
        yield found


def gauge(captured: Captured, metric: str) -> dict[str, float]:
    """A gauge's values by its one attribute."""
    return {next(iter(point.attributes.values())): point.value for point in captured.metrics().get(metric, [])}


# --- gauges ---------------------------------------------------------------------------------------


def test_the_queue_gauge_follows_what_was_set_last(captured: Captured) -> None:
    facts.queue("gpu", 3)
    assert gauge(captured, "vlm.queue.size") == {"gpu": 3}
    facts.queue("gpu", 0)
    facts.queue("cpu", np.int64(2))  # type: ignore[arg-type]  # a whole number all the same
    assert gauge(captured, "vlm.queue.size") == {"gpu": 0, "cpu": 2}


def test_the_queue_gauge_asks_a_callable_at_each_collection(captured: Captured) -> None:
    waiting = [1, 2]
    facts.queue("gpu", lambda: len(waiting))
    assert gauge(captured, "vlm.queue.size") == {"gpu": 2}
    waiting.pop()
    assert gauge(captured, "vlm.queue.size") == {"gpu": 1}


@pytest.mark.parametrize("size", [lambda: 1 / 0, lambda: "many", lambda: -1, lambda: None, lambda: True])
def test_a_queue_that_can_not_tell_its_size_is_left_out_and_the_others_are_not(
    captured: Captured, size: Any, caplog: pytest.LogCaptureFixture
) -> None:
    facts.queue("broken", size)
    facts.queue("gpu", 1)
    assert gauge(captured, "vlm.queue.size") == {"gpu": 1}
    assert "otelext.facts.queue" in caplog.text


def test_the_model_gauge_follows_the_state(captured: Captured) -> None:
    facts.model_loaded("m")
    facts.model_loaded("n", loaded=False)
    assert gauge(captured, "vlm.model.loaded") == {"m": 1, "n": 0}
    facts.model_loaded("m", loaded=False)
    assert gauge(captured, "vlm.model.loaded") == {"m": 0, "n": 0}


def test_gauges_are_bounded(captured: Captured) -> None:
    for number in range(80):
        facts.queue(f"q{number}", number)
        facts.model_loaded(f"m{number}")
    assert len(gauge(captured, "vlm.queue.size")) == 50
    assert len(gauge(captured, "vlm.model.loaded")) <= 51
    facts.queue("q0", 99)  # known ones go on
    assert gauge(captured, "vlm.queue.size")["q0"] == 99


# --- counters and histograms ----------------------------------------------------------------------


def test_critical_fields_are_checks_and_errors(captured: Captured) -> None:
    for correct in (True, True, False):
        facts.critical_field("amount", correct=correct)
    facts.critical_field("date", correct=True)
    assert captured.value("vlm.critical_field.checks", vlm_field="amount") == 3
    assert captured.value("vlm.critical_field.errors", vlm_field="amount") == 1
    # A field without errors has a 0 to divide by its checks.
    errors = {point.attributes["vlm.field"]: point.value for point in captured.metrics()["vlm.critical_field.errors"]}
    assert errors == {"amount": 1, "date": 0}


@pytest.mark.parametrize(
    ("produce", "metric"), [(facts.accuracy, "vlm.accuracy"), (facts.confidence, "vlm.confidence")]
)
def test_ratios_are_histograms_by_document_type_and_model(
    captured: Captured, produce: Callable[..., None], metric: str
) -> None:
    produce(0.93, document_type="receipt", model="m")
    produce(np.float32(0.5), model="m")
    first, second = sorted(captured.metrics()[metric], key=lambda point: point.sum, reverse=True)
    assert dict(first.attributes) == {"vlm.document_type": "receipt", "gen_ai.request.model": "m"}
    assert first.sum == 0.93
    assert dict(second.attributes) == {"gen_ai.request.model": "m"}


def test_structured_outputs_and_cache_lookups_are_counted_by_result(captured: Captured) -> None:
    facts.structured_output(valid=True, model="m")
    facts.structured_output(valid=False, model="m")
    facts.cache("pages", hit=True)
    facts.cache("pages", hit=False)
    facts.cache("pages", hit=False)
    assert captured.value("vlm.structured_output", vlm_structured_output_result="valid", gen_ai_request_model="m") == 1
    assert captured.value("vlm.structured_output", vlm_structured_output_result="invalid") == 1
    assert captured.value("vlm.cache.lookups", vlm_cache_name="pages", vlm_cache_result="hit") == 1
    assert captured.value("vlm.cache.lookups", vlm_cache_name="pages", vlm_cache_result="miss") == 2


def test_model_and_document_type_are_the_current_inferences(captured: Captured) -> None:
    with otelext.inference("chat", model="m") as inf, otelext.stage("postprocess"):
        inf.set_document(type="claim")
        facts.accuracy(1)
        facts.confidence(0.4, document_type="receipt")
        facts.structured_output(valid=True)
        facts.structured_output(valid=True, model="other")
    assert captured.value("vlm.accuracy", gen_ai_request_model="m", vlm_document_type="claim") == 1
    assert captured.value("vlm.confidence", gen_ai_request_model="m", vlm_document_type="receipt") == 1
    assert captured.value("vlm.structured_output", gen_ai_request_model="m") == 1
    assert captured.value("vlm.structured_output", gen_ai_request_model="other") == 1


def test_outside_of_an_inference_a_fact_has_no_model(captured: Captured) -> None:
    with otelext.inference("chat", model="m"):
        pass
    facts.structured_output(valid=True)
    (point,) = captured.metrics()["vlm.structured_output"]
    assert dict(point.attributes) == {"vlm.structured_output.result": "valid"}


def test_a_fact_inside_a_sampled_span_carries_an_exemplar(captured: Captured) -> None:
    with otelext.inference("chat", model="m"), otelext.stage("postprocess"):
        facts.accuracy(0.9)
    (stage,) = captured.spans("postprocess")
    (point,) = captured.metrics()["vlm.accuracy"]
    (exemplar,) = point.exemplars
    assert stage.context is not None
    assert (exemplar.trace_id, exemplar.span_id) == (stage.context.trace_id, stage.context.span_id)


def test_facts_come_from_any_thread(captured: Captured) -> None:
    threads = [threading.Thread(target=lambda: [facts.cache("pages", hit=True) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert captured.value("vlm.cache.lookups") == 200


def test_values_beyond_the_limit_become_other(captured: Captured) -> None:
    for number in range(80):
        facts.cache(f"cache{number}", hit=True)
    names = {point.attributes["vlm.cache.name"] for point in captured.metrics()["vlm.cache.lookups"]}
    assert len(names) == 51
    assert "other" in names
    assert captured.value("vlm.cache.lookups") == 80


# --- cost -----------------------------------------------------------------------------------------


def test_cost_inside_an_inference_is_the_inferences_and_counts_once(captured: Captured) -> None:
    with otelext.inference("chat", model="m") as inf:
        facts.cost(0.25)
        inf.set_cost(0.5)
        with otelext.stage("postprocess"):
            facts.cost(0.25)
    assert captured.value("vlm.cost") == captured.value("vlm.cost", gen_ai_request_model="m") == 1.0
    (span,) = captured.spans("chat m")
    assert span.attributes is not None
    assert span.attributes["vlm.cost"] == 1.0


def test_cost_goes_to_the_innermost_inference_alone(captured: Captured) -> None:
    with otelext.inference("chat", model="outer"), otelext.inference("chat", model="inner"):
        facts.cost(0.5)
    assert captured.value("vlm.cost") == captured.value("vlm.cost", gen_ai_request_model="inner") == 0.5


def test_cost_of_another_model_is_not_the_inferences(captured: Captured) -> None:
    with otelext.inference("chat", model="m") as inf:
        facts.cost(0.5, model="embedder")
    assert inf.cost is None
    assert captured.value("vlm.cost") == captured.value("vlm.cost", gen_ai_request_model="embedder") == 0.5


def test_cost_outside_and_after_an_inference_counts(captured: Captured) -> None:
    facts.cost(1)
    with otelext.inference("chat", model="m"):
        pass
    facts.cost(2, model="m")
    assert captured.value("vlm.cost") == 3
    assert captured.value("vlm.cost", gen_ai_request_model="m") == 2


# --- bad arguments --------------------------------------------------------------------------------


class Hostile:
    """Raises whatever is asked of it."""

    def _refuse(self, *_: object) -> Any:
        raise RuntimeError

    __bool__ = __str__ = __call__ = __ge__ = __le__ = __eq__ = __hash__ = _refuse

    def __repr__(self) -> str:
        return "<hostile>"


NO_NAMES = ["", None, 3, b"name", Hostile()]
NO_RATIOS = [-0.1, 1.1, float("nan"), float("inf"), "0.5", None, True, 1j, Hostile()]
NO_COSTS = [-1, float("nan"), float("inf"), "1", None, True, Hostile()]

BAD: list[tuple[Callable[..., None], tuple[Any, ...], dict[str, Any]]] = [
    *((facts.queue, (name, 1), {}) for name in NO_NAMES),
    *((facts.queue, ("gpu", size), {}) for size in (-1, 1.5, "3", None, True)),
    *((facts.model_loaded, (name,), {}) for name in NO_NAMES),
    (facts.model_loaded, ("m", np.array([1, 2])), {}),
    *((facts.critical_field, (name, True), {}) for name in NO_NAMES),
    (facts.critical_field, ("amount", Hostile()), {}),
    *((facts.accuracy, (value,), {}) for value in NO_RATIOS),
    *((facts.confidence, (value,), {}) for value in NO_RATIOS),
    (facts.structured_output, (Hostile(),), {}),
    *((facts.cache, (name, True), {}) for name in NO_NAMES),
    (facts.cache, ("pages", Hostile()), {}),
    *((facts.cost, (value,), {}) for value in NO_COSTS),
    *((facts.cost, (value,), {"model": "m"}) for value in NO_COSTS),
    *((produce, (), {}) for produce in (facts.queue, facts.accuracy, facts.cost, facts.cache)),
]
METRICS = (
    "vlm.queue.size",
    "vlm.model.loaded",
    "vlm.accuracy",
    "vlm.confidence",
    "vlm.structured_output",
    "vlm.cache.lookups",
    "vlm.cost",
    "vlm.critical_field.errors",
)


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
@pytest.mark.parametrize(("produce", "args", "kwargs"), BAD)
def test_a_bad_argument_is_logged_and_left_out(
    captured: Captured,
    caplog: pytest.LogCaptureFixture,
    produce: Callable[..., None],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    inside: bool,
) -> None:
    if inside:
        with otelext.inference("chat", model="m"):
            produce(*args, **kwargs)
    else:
        produce(*args, **kwargs)
    found = captured.metrics()
    assert [metric for metric in METRICS if found.get(metric)] == []
    assert "otelext" in caplog.text


@pytest.mark.parametrize("model", [3, "", Hostile()])
def test_a_fact_with_a_bad_model_counts_without_it(
    captured: Captured, caplog: pytest.LogCaptureFixture, model: Any
) -> None:
    facts.structured_output(valid=True, model=model)
    facts.accuracy(0.5, model=model, document_type=model)
    (point,) = captured.metrics()["vlm.structured_output"]
    assert dict(point.attributes) == {"vlm.structured_output.result": "valid"}
    (point,) = captured.metrics()["vlm.accuracy"]
    assert dict(point.attributes) == {}
    assert "model of structured_output is a non-empty str" in caplog.text


def test_without_providers_facts_go_nowhere_and_cost_nothing(caplog: pytest.LogCaptureFixture) -> None:
    from otelext import _attach

    before = _attach.worker.queue_size
    facts.queue("gpu", 1)
    facts.accuracy(0.5)
    facts.cost(1)
    assert _attach.worker.queue_size == before
    assert caplog.records == []
