"""What the environment asks to export to, and what happens where that can't be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext import semconv
from tests.distro.processes import plain, run_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.otlp_receiver import OtlpReceiver

INFER = """
import otelext

@otelext.inference("chat", model="m")
def tokens():
    yield "a"
    yield "b"

list(tokens())
print("served")
"""


# Loaded by a distro that is named for it: takes the entry points away that a missing package would not bring.
HIDE = """
import importlib.metadata as metadata
import opentelemetry.util._importlib_metadata as util

def wrap(entry_points):
    def without(*args, **kwargs):
        found = entry_points(*args, **kwargs)
        return metadata.EntryPoints(e for e in found if not e.value.startswith({hidden!r}))
    return without

metadata.entry_points = wrap(metadata.entry_points)
util.entry_points = wrap(util.entry_points)
"""


@pytest.fixture
def without(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """An environment in which some exporters are not installed."""

    def without(endpoint: str, *modules: str, **env: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("hidden")
        (folder / "hide.py").write_text(HIDE.format(hidden=modules))
        (folder / "hiding_distro.py").write_text(
            "import hide\nfrom otelext.distro import OtelextDistro\nclass Distro(OtelextDistro): pass\n"
        )
        info = folder / "hiding-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hiding\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[opentelemetry_distro]\nhiding = hiding_distro:Distro\n")
        return plain(endpoint, PYTHONPATH=str(folder), OTEL_PYTHON_DISTRO="hiding", **env)

    return without


def test_a_missing_otlp_exporter_is_one_line_that_names_the_extra(
    receiver: OtlpReceiver, without: Callable[..., dict[str, str]]
) -> None:
    done = run_program(INFER, without(receiver.endpoint, "opentelemetry.exporter.otlp"))
    assert (done.returncode, done.stdout) == (0, "served\n")
    (line,) = done.stderr.splitlines()
    assert "otelext[otlp]" in line
    assert "'otlp'" in line


def test_a_missing_prometheus_exporter_is_one_line_and_the_other_signals_leave(
    receiver: OtlpReceiver, without: Callable[..., dict[str, str]]
) -> None:
    env = without(receiver.endpoint, "opentelemetry.exporter.prometheus", OTEL_METRICS_EXPORTER="prometheus")
    done = run_program(INFER, env)
    assert (done.returncode, done.stdout) == (0, "served\n")
    (line,) = done.stderr.splitlines()
    assert "otelext[prometheus]" in line
    assert [span.name for span in receiver.spans] == ["chat m"]
    assert not receiver.points


def test_an_unknown_exporter_is_one_line_with_what_is_known(receiver: OtlpReceiver) -> None:
    done = run_program(INFER, plain(receiver.endpoint, OTEL_METRICS_EXPORTER="promtheus,otlp"))
    assert (done.returncode, done.stdout) == (0, "served\n")
    (line,) = done.stderr.splitlines()
    assert "OTEL_METRICS_EXPORTER names 'promtheus'" in line
    assert "prometheus" in line.partition("known here:")[2]
    assert receiver.total(semconv.INFERENCES.name) == 1


def test_a_protocol_that_does_not_exist_is_one_line(receiver: OtlpReceiver) -> None:
    done = run_program(INFER, plain(receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/json"))
    assert (done.returncode, done.stdout) == (0, "served\n")
    (line,) = done.stderr.splitlines()
    assert "OTEL_EXPORTER_OTLP_PROTOCOL='http/json'" in line
    assert [span.name for span in receiver.spans] == ["chat m"]
    assert receiver.total(semconv.INFERENCES.name) == 1


@pytest.mark.parametrize("value", ["none", "NONE", " none "])
def test_none_exports_nothing_and_says_nothing(receiver: OtlpReceiver, value: str) -> None:
    env = plain(receiver.endpoint, OTEL_METRICS_EXPORTER=value, OTEL_LOGS_EXPORTER=value)
    done = run_program(INFER, env)
    assert (done.returncode, done.stderr) == (0, "")
    assert not receiver.points
    assert receiver.spans


def test_the_environment_of_the_program_is_what_the_user_set(receiver: OtlpReceiver) -> None:
    program = "import os; print(os.environ['OTEL_METRICS_EXPORTER'], os.environ['OTEL_EXPORTER_OTLP_PROTOCOL'])"
    env = plain(receiver.endpoint, OTEL_METRICS_EXPORTER="nonsense", OTEL_EXPORTER_OTLP_PROTOCOL="odd")
    assert run_program(program, env).stdout == "nonsense odd\n"


def test_the_resource_tracker_of_multiprocessing_is_left_alone(receiver: OtlpReceiver) -> None:
    # Its command line, as `uvicorn --workers` starts it; what follows stands for its work.
    tracker = "from multiprocessing.resource_tracker import main;import sys,threading;"
    done = run_program(f"{tracker}print(threading.active_count(), 'fastapi' in sys.modules)", plain(receiver.endpoint))
    assert done.stdout == "1 False\n"
