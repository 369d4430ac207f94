"""A bad argument raises where a function is decorated, and is logged and left out inside a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import otelext
from otelext.capture import timing
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.testing import Captured


class Unindexable:
    """Raises whatever is asked of it."""

    def __index__(self) -> int:
        raise RuntimeError

    def __float__(self) -> float:
        raise RuntimeError

    def __iter__(self) -> Any:
        raise RuntimeError


def work() -> int:
    return 7


@pytest.mark.parametrize(
    ("args", "options", "error", "named"),
    [
        ((5,), {}, TypeError, "operation .* 5"),
        ((None,), {}, TypeError, "operation .* None"),
        (("",), {}, ValueError, "operation is empty"),
        (("chat",), {"model": 5}, TypeError, "model .* 5"),
        (("chat",), {"model": ""}, ValueError, "model is empty"),
        (("chat",), {"provider": 5}, TypeError, "provider .* 5"),
        (("chat",), {"provider": ""}, ValueError, "provider is empty"),
        (("chat",), {"model_version": 5}, TypeError, "model_version .* 5"),
        (("chat",), {"model_version": ""}, ValueError, "model_version is empty"),
        (("chat",), {"tokens": 5}, TypeError, "tokens .* 5"),
    ],
)
def test_an_inference_with_bad_arguments(
    captured: Captured, args: Any, options: Any, error: type[Exception], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(error, match=named):
        otelext.inference(*args, **options)(work)
    assert caplog.text == ""
    with otelext.inference(*args, **options) as inf:  # inside a request it only says so
        inf.add_tokens(1)
        assert work() == 7
    assert "otelext" in caplog.text
    assert captured.inferences() == []


@pytest.mark.parametrize(
    "name", ["", "Prefill", "1st", "with space", "x" * 65, "unattributed", "a\n", "ä", 5, None, [], {}, b"decode"]
)
def test_a_stage_with_a_bad_name(captured: Captured, name: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="stage"):
        otelext.stage(name)(work)
    with otelext.inference("chat") as inf, otelext.stage(name), inf.stage(name):
        assert work() == 7
    assert "stage" in caplog.text
    assert [s.name for s in inf.stages] == ["other", "other"]


@pytest.mark.parametrize("name", ["prefill", "a", "a.b-c_d9", "x" * 64])
def test_a_stage_with_a_good_name(captured: Captured, name: str) -> None:
    assert otelext.stage(name)(work)() == 7
    assert [span.name for span in captured.spans()] == [name]


@pytest.mark.parametrize("inference", [5, "chat", otelext.inference("chat"), object()])
def test_a_stage_of_what_is_no_inference(captured: Captured, inference: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TypeError, match=r"inference is an otelext.Inference"):
        otelext.stage("decode", inference=inference)(work)
    with otelext.inference("chat") as inf, otelext.stage("decode", inference=inference):
        assert work() == 7
    assert "otelext.Inference" in caplog.text
    assert [s.name for s in inf.stages] == ["decode"]


BAD_COUNTS = (-1, 1.5, "3", True, float("nan"), None, [1], Unindexable(), object())


@pytest.mark.parametrize("bad", BAD_COUNTS, ids=repr)
def test_bad_counts_are_left_out(captured: Captured, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    with otelext.inference("chat") as inf:
        inf.set_input(images=1, pages=2, pixels=3, image_tokens=4, text_tokens=5)
        inf.set_usage(input_tokens=6, output_tokens=7, cached_input_tokens=8)
        inf.set_document(width=9, height=10, fields=11)
        before = timing.span_attributes(inf)
        inf.set_input(images=bad, pages=bad, pixels=bad, image_tokens=bad, text_tokens=bad)
        inf.set_usage(input_tokens=bad, output_tokens=bad, cached_input_tokens=bad)
        inf.set_document(width=bad, height=bad, fields=bad)
        inf.add_tokens(bad)
        assert timing.span_attributes(inf) == before
        assert inf.ttft is None
    assert ("left out" in caplog.text) is (bad is not None)


@pytest.mark.parametrize("bad", [5, "", b"m", [], object()], ids=repr)
def test_bad_texts_are_left_out(captured: Captured, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    with otelext.inference("chat", model="m", model_version="r") as inf:
        inf.set_response(model="r")
        inf.set_document(type="receipt")
        before = timing.span_attributes(inf)
        inf.set_model(bad, bad)
        inf.set_response(model=bad)
        inf.set_document(type=bad)
        assert timing.span_attributes(inf) == before
    assert "left out" in caplog.text


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "1", None, True, object()], ids=repr)
def test_bad_costs_are_left_out(captured: Captured, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    with otelext.inference("chat") as inf:
        inf.set_cost(bad)
    assert inf.cost is None
    assert "cost" in caplog.text


@pytest.mark.parametrize("bad", ["done", 5, None, [], object()], ids=repr)
def test_bad_outcomes_are_left_out(captured: Captured, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    with otelext.inference("chat") as inf:
        inf.set_outcome(bad)
    assert inf.outcome == "completed"
    assert "no outcome" in caplog.text


def test_an_outcome_may_be_given_by_its_value(captured: Captured) -> None:
    with otelext.inference("chat") as inf:
        inf.set_outcome("timeout")  # type: ignore[arg-type]  # what a caller without type checks writes
    assert inf.outcome is otelext.Outcome.TIMEOUT


@pytest.mark.parametrize("bad", [5, Unindexable(), object()])
def test_bad_finish_reasons_are_left_out(captured: Captured, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    with otelext.inference("chat") as inf:
        inf.set_response(finish_reasons=["stop"])
        inf.set_response(finish_reasons=bad)
    assert inf.finish_reasons == ("stop",)
    assert "finish_reasons" in caplog.text


def test_one_finish_reason_may_come_alone(captured: Captured) -> None:
    with otelext.inference("chat") as inf:
        inf.set_response(finish_reasons="stop")
    assert inf.finish_reasons == ("stop",)


@pytest.mark.parametrize(("key", "value"), [(5, 1), ("", 1), ("a", object()), ("a", {1, 2}), ([], [])])
def test_bad_attributes_never_raise(lane_capture: Any, key: Any, value: Any) -> None:
    with lane_capture() as captured:
        with otelext.inference("chat") as inf:
            inf.set_attribute(key, value)
            inf.set_attribute("good", 1)
        assert (captured.spans("chat")[0].attributes or {})["good"] == 1


@pytest.mark.parametrize("bad", [5, None, object()])
def test_what_cannot_be_iterated_fails_where_it_is_iterated(captured: Captured, bad: Any) -> None:
    with otelext.inference("chat") as inf:
        stream = inf.stream(bad)
        with pytest.raises(TypeError):
            iter(stream)
    assert inf.outcome == "completed"


@pytest.mark.parametrize("result", ["x", None, float("nan"), object(), ValueError("x")], ids=repr)
def test_a_rule_of_tokens_that_fails_costs_nothing(
    captured: Captured, result: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def rule(_: object) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    @otelext.inference("chat", tokens=rule)
    def answer() -> Iterator[str]:
        yield from ("a", "", "b")

    assert list(answer()) == ["a", "", "b"]
    assert captured.inferences()[0].output_tokens == 2
    assert "tokens=" in caplog.text


@pytest.mark.parametrize("rule", [5, "x", object()])
def test_a_rule_that_cannot_be_called_costs_nothing(captured: Captured, rule: Any) -> None:
    with otelext.inference("chat") as inf:
        assert list(inf.stream(["a", "b"], tokens=rule)) == ["a", "b"]
    assert inf.output_tokens == 2


@pytest.mark.parametrize("result", ["", 5, ValueError("x"), None], ids=repr)
def test_a_model_that_cannot_be_told_is_left_out(captured: Captured, result: Any) -> None:
    def model(*_: object) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    assert otelext.inference("chat", model=model)(work)() == 7
    with otelext.inference("chat", model=model):
        pass
    assert [i.model for i in captured.inferences()] == [None, None]
    assert [span.name for span in captured.spans()] == ["chat", "chat"]


def test_without_an_inference_every_method_takes_its_call(captured: Captured) -> None:
    inf = otelext.current_inference()
    assert inf is otelext.current_inference()
    inf.set_model("m")
    inf.set_input(images=1)
    inf.set_usage(output_tokens=1)
    inf.set_response(model="m")
    inf.set_document(type="receipt")
    inf.set_attribute("a", 1)
    inf.set_outcome(otelext.Outcome.ERROR)
    inf.set_cost(1.0)
    inf.first_token()
    inf.add_tokens(3)
    assert list(inf.stream("ab")) == ["a", "b"]
    with inf.stage("decode"), otelext.stage("fetch", inference=inf):
        pass
    assert (inf.model, inf.images, inf.ttft, inf.output_tokens, inf.outcome) == (None,) * 5
    assert inf.stages == []
    assert sorted(span.name for span in captured.spans()) == ["decode", "fetch"]


ANYTHING = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.just(Unindexable()),
)
METHODS: dict[str, tuple[str, ...]] = {
    "set_model": ("name", "version"),
    "set_input": ("images", "pages", "pixels", "image_tokens", "text_tokens"),
    "set_usage": ("input_tokens", "output_tokens", "cached_input_tokens"),
    "set_response": ("model", "finish_reasons"),
    "set_document": ("type", "width", "height", "fields"),
    "set_attribute": ("key", "value"),
    "set_outcome": ("outcome",),
    "set_cost": ("usd",),
    "add_tokens": ("n",),
}


@given(
    st.lists(
        st.sampled_from(sorted(METHODS)).flatmap(
            lambda name: st.tuples(st.just(name), st.fixed_dictionaries(dict.fromkeys(METHODS[name], ANYTHING)))
        ),
        max_size=6,
    )
)
def test_no_method_ever_raises(calls: list[tuple[str, dict[str, Any]]]) -> None:
    with capture() as captured:
        with otelext.inference("chat") as inf:
            for name, arguments in calls:
                getattr(inf, name)(**arguments)
        assert captured.value("vlm.inferences") == 1
        assert len(captured.inferences()) == 1
