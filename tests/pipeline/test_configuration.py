"""What a configuration leaves to references, and how it writes ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext.pipeline.validate import load, validate
from tests.pipeline.faults import CLEAN

if TYPE_CHECKING:
    from pathlib import Path


def rules(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return [one.rule.id for one in validate([load(str(file))])]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("receivers: [otlp]", "receivers: ${file:/etc/receivers.yaml}"),
        ("processors: [memory_limiter, tail_sampling]", "processors: ${env:PROCESSORS}"),
        ("exporters: [otlp_grpc/jaeger]", "exporters: ['otlp_grpc/${env:BACKEND}']"),
        ("exporters: [otlp_grpc/jaeger]", "exporters: ['${env:BACKEND}']"),
        ("extensions: [file_storage]", "extensions: ${env:EXTENSIONS}"),
        (CLEAN[CLEAN.index("    traces/counted") :], "    traces: ${file:/etc/traces.yaml}\n"),
        (CLEAN[CLEAN.index("  pipelines:") :], "  pipelines: ${file:/etc/pipelines.yaml}\n"),
        (CLEAN[CLEAN.index("service:") :], "service: ${file:/etc/service.yaml}\n"),
        (CLEAN[CLEAN.index("exporters:") : CLEAN.index("service:")], "exporters: ${file:/etc/exporters.yaml}\n"),
        (CLEAN[CLEAN.index("connectors:") : CLEAN.index("exporters:")], "connectors: ${file:/etc/connectors.yaml}\n"),
        (CLEAN[CLEAN.index("extensions:") : CLEAN.index("receivers:")], "extensions: ${file:/etc/extensions.yaml}\n"),
    ],
)
def test_what_a_reference_may_hold_is_not_missed(tmp_path: Path, old: str, new: str) -> None:
    assert old in CLEAN
    assert rules(tmp_path, CLEAN.replace(old, new, 1)) == []


@pytest.mark.parametrize("written", ['"otlp_grpc / jaeger"', '" otlp_grpc/jaeger "'])
def test_spaces_in_an_id_are_not_of_it(tmp_path: Path, written: str) -> None:
    assert rules(tmp_path, CLEAN.replace("[otlp_grpc/jaeger]", f"[{written}]")) == []
    assert rules(tmp_path, CLEAN.replace("  otlp_grpc/jaeger:", f"  {written}:")) == []


def test_a_connector_must_have_what_it_makes_a_signal_of(tmp_path: Path) -> None:
    text = CLEAN + "    logs:\n      receivers: [span_metrics]\n      exporters: [otlp_http/prometheus]\n"
    assert rules(tmp_path, text) == ["unsupported-signal"]


def test_a_label_may_be_called_storage(tmp_path: Path) -> None:
    text = CLEAN.replace("      authorization:", "      storage: fast\n      authorization:")
    assert rules(tmp_path, text) == []
