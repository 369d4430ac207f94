"""The public face: what it names, what importing it loads, and what it promises."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import otelext

NAMES = ["Inference", "Outcome", "configure", "current_inference", "facts", "force_flush", "inference", "stage"]
FACTS = ["accuracy", "cache", "confidence", "cost", "critical_field", "model_loaded", "queue", "structured_output"]
METHODS = [
    "add_tokens",
    "first_token",
    "set_attribute",
    "set_cost",
    "set_document",
    "set_input",
    "set_model",
    "set_outcome",
    "set_response",
    "set_usage",
    "stage",
    "stream",
]
READINGS = ["breakdown", "outcome", "output_tokens", "tpot", "ttft"]


def test_the_names_are_these() -> None:
    assert sorted(otelext.__all__) == sorted([*NAMES, "__version__"])
    for name in otelext.__all__:
        assert hasattr(otelext, name)
    for name in FACTS:
        assert callable(getattr(otelext.facts, name))


def test_the_version_is_that_of_the_package() -> None:
    try:
        installed = metadata.version("otelext")
    except metadata.PackageNotFoundError:
        pytest.skip("otelext is imported from its checkout without being installed")
    assert otelext.__version__ == installed


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([.a-z0-9]+)?", otelext.__version__)


def test_types_come_with_the_package() -> None:
    assert (Path(otelext.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    "name", [*NAMES, *(f"Inference.{m}" for m in METHODS + READINGS), *(f"facts.{f}" for f in FACTS)]
)
def test_everything_public_says_what_it_is_for(name: str) -> None:
    found: object = otelext
    for part in name.split("."):
        found = getattr(found, part)
    assert len(inspect.getdoc(found) or "") > 20


@pytest.mark.parametrize("name", [f"Inference.{m}" for m in METHODS] + [f"facts.{f}" for f in FACTS])
def test_every_parameter_is_annotated_and_described(name: str) -> None:
    found: object = otelext
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)
    signature = inspect.signature(found)
    assert signature.return_annotation is not inspect.Signature.empty
    described = inspect.getdoc(found) or ""
    for parameter in list(signature.parameters.values())[name.startswith("Inference") :]:
        assert parameter.annotation is not inspect.Parameter.empty
        assert re.search(rf"^\s*{parameter.name}: ", described, re.MULTILINE), parameter.name


@pytest.mark.parametrize("reading", READINGS)
def test_readings_can_only_be_read(reading: str) -> None:
    with otelext.inference("chat") as inf:
        assert getattr(inf, reading) is None
        with pytest.raises(AttributeError):
            setattr(inf, reading, 1)


def loaded_by(code: str) -> list[str]:
    """Modules that a fresh interpreter has after `code`."""
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sorted(sys.modules))"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stderr == ""
    return result.stdout.split()


def test_importing_it_loads_the_api_alone() -> None:
    loaded = loaded_by("import otelext")
    assert "opentelemetry.trace" in loaded
    unwanted = ("opentelemetry.sdk", "opentelemetry.instrumentation", "opentelemetry.exporter", "starlette", "fastapi")
    assert [name for name in loaded if name.startswith((*unwanted, "pynvml", "structlog", "asyncio", "click"))] == []
    assert [name for name in loaded if name.startswith(("otelext.emit", "otelext._attach", "otelext.distro"))] == []


def test_using_it_without_an_sdk_loads_none() -> None:
    loaded = loaded_by(
        "import otelext\nwith otelext.inference('chat'), otelext.stage('decode'): pass\n"
        "otelext.facts.cost(1.0); assert otelext.force_flush()"
    )
    assert [name for name in loaded if name.startswith("opentelemetry.sdk")] == []


def test_outcomes_are_their_values() -> None:
    assert [str(outcome) for outcome in otelext.Outcome] == [
        "completed",
        "timeout",
        "error",
        "client_disconnected",
        "cancelled",
        "abandoned",
    ]
    assert otelext.Outcome("timeout") is otelext.Outcome.TIMEOUT
    assert f"{otelext.Outcome.ERROR}" == "error"
