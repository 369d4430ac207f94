"""otelext's own settings."""

from __future__ import annotations

import logging
import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.capture import failure
from otelext.distro.config import Config, read, shown, variable
from otelext.distro.variables import DEFAULTS, set_defaults, variables

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _warnings_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "_last", {})


def test_nothing_set_gives_the_defaults() -> None:
    assert read({}) == Config()


def test_the_environment_is_read() -> None:
    environ = {
        "OTELEXT_MODELS": " a, b ,,c",
        "OTELEXT_QUEUE_SIZE": "10",
        "OTELEXT_SHUTDOWN_TIMEOUT": "2.5",
        "OTELEXT_SIGTERM": "No",
        "OTELEXT_GRACE_PERIOD": "60",
        "OTELEXT_EXEMPLAR_RATIO": "0.01",
        "OTELEXT_GPU": "0",
        "OTELEXT_GPU_INTERVAL": "1",
        "OTELEXT_GPU_METRICS": "vlm.energy, vlm.gpu.process.memory",
        "OTELEXT_GPU_FOLDER": "/run/otelext",
        "OTELEXT_INSTRUMENT": "on",
    }
    assert read(environ) == Config(
        models=("a", "b", "c"),
        queue_size=10,
        shutdown_timeout=2.5,
        sigterm=False,
        grace_period=60.0,
        exemplar_ratio=0.01,
        gpu=False,
        gpu_interval=1.0,
        gpu_metrics=("vlm.energy", "vlm.gpu.process.memory"),
        gpu_folder="/run/otelext",
        instrument=True,
    )


def test_the_grace_period_of_a_pod_is_its_own_unless_set(caplog: pytest.LogCaptureFixture) -> None:
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    assert read({}).grace_period == 10
    assert read(pod).grace_period == 30
    assert read({**pod, "OTELEXT_GRACE_PERIOD": "45"}).grace_period == 45
    assert read(pod, grace_period=20).grace_period == 20
    assert read({**pod, "OTELEXT_GRACE_PERIOD": "0"}).grace_period == 30
    assert "30 is taken" in caplog.text


@pytest.mark.parametrize("ratio", ["0", "0.5", "1"])
def test_a_share_takes_both_of_its_ends(ratio: str, caplog: pytest.LogCaptureFixture) -> None:
    assert read({"OTELEXT_EXEMPLAR_RATIO": ratio}).exemplar_ratio == float(ratio)
    assert read({}, exemplar_ratio=float(ratio)).exemplar_ratio == float(ratio)
    assert not caplog.messages


def test_overrides_go_before_the_environment() -> None:
    assert read({"OTELEXT_QUEUE_SIZE": "10"}, queue_size=20, models=["m"]) == Config(queue_size=20, models=("m",))


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().queue_size = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [
        ("OTELEXT_QUEUE_SIZE", "many", "8192"),
        ("OTELEXT_QUEUE_SIZE", "0", "8192"),
        ("OTELEXT_QUEUE_SIZE", "1.5", "8192"),
        ("OTELEXT_SHUTDOWN_TIMEOUT", "-1", "5"),
        ("OTELEXT_SHUTDOWN_TIMEOUT", "inf", "5"),
        ("OTELEXT_SHUTDOWN_TIMEOUT", "nan", "5"),
        ("OTELEXT_SIGTERM", "perhaps", "true"),
        ("OTELEXT_EXEMPLAR_RATIO", "10%", "1"),
        ("OTELEXT_EXEMPLAR_RATIO", "1.01", "1"),
        ("OTELEXT_EXEMPLAR_RATIO", "-0.1", "1"),
        ("OTELEXT_EXEMPLAR_RATIO", "nan", "1"),
        ("OTELEXT_GPU_INTERVAL", "0", "5"),
        ("OTELEXT_GPU_METRICS", "hw.gpu", "all"),
    ],
)
def test_a_bad_value_is_one_warning_with_name_value_and_default(
    caplog: pytest.LogCaptureFixture, name: str, value: str, default: str
) -> None:
    with caplog.at_level(logging.WARNING, "otelext"):
        assert read({name: value}) == Config()
    (message,) = caplog.messages
    assert name in message
    assert repr(value) in message
    assert message.endswith(f"{default} is taken")


@given(st.dictionaries(st.sampled_from([variable(f.name) for f in fields(Config)]), st.text()))
def test_no_environment_raises(environ: dict[str, str]) -> None:
    config = read(environ)
    assert read({variable(f.name): shown(getattr(config, f.name)) for f in fields(Config)}) == config or config.models


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"que_size": 1}, TypeError),
        ({"queue_size": "1"}, TypeError),
        ({"queue_size": True}, TypeError),
        ({"queue_size": 1.5}, TypeError),
        ({"queue_size": 0}, ValueError),
        ({"shutdown_timeout": 0}, ValueError),
        ({"shutdown_timeout": float("nan")}, ValueError),
        ({"sigterm": "no"}, TypeError),
        ({"exemplar_ratio": 1.5}, ValueError),
        ({"exemplar_ratio": -1}, ValueError),
        ({"exemplar_ratio": "1"}, TypeError),
        ({"exemplar_ratio": True}, TypeError),
        ({"models": "m"}, TypeError),
        ({"models": [""]}, TypeError),
        ({"gpu": 1}, TypeError),
        ({"gpu_interval": 0}, ValueError),
        ({"gpu_folder": Path("/tmp")}, TypeError),
    ],
)
def test_a_bad_override_is_the_callers_error(overrides: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(overrides))):
        read({}, **overrides)


def test_all_metrics_of_gpus_may_be_asked_for_by_that_name() -> None:
    assert read({"OTELEXT_GPU_METRICS": "All"}) == Config()


def test_a_metric_that_no_gpu_has_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'vlm\.tokens' is none of hw\.gpu\.utilization, .*vlm\.energy"):
        read({}, gpu_metrics=["vlm.tokens"])


def test_defaults_are_set_where_the_user_set_nothing() -> None:
    environ = {"OTEL_TRACES_EXPORTER": "console", "OTEL_LOGS_EXPORTER": " "}
    set_defaults(environ)
    assert environ == {**DEFAULTS, "OTEL_TRACES_EXPORTER": "console"}


def test_the_documentation_lists_every_variable_with_its_default() -> None:
    rows = re.findall(r"^\| `(OTEL\w+)` \| (?:`([^`]*)`)? ?\| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [(v.name, v.default, v.meaning) for v in variables()]
