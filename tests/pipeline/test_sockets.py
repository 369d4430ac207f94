"""Addresses in the forms that they are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext.pipeline.validate import load, validate
from tests.pipeline.faults import CLEAN

if TYPE_CHECKING:
    from pathlib import Path

    from otelext.pipeline.finding import Finding

OTLP_HTTP = "http://prometheus:9090/api/v1/otlp"


def found(tmp_path: Path, text: str) -> list[Finding]:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return validate([load(str(file))])


@pytest.mark.parametrize("url", ["'${env:GATEWAY}:4318'", "'${env:SCHEME}://gateway'", "HTTPS://gateway"])
def test_what_may_be_a_url_is_taken_for_one(tmp_path: Path, url: str) -> None:
    assert found(tmp_path, CLEAN.replace(OTLP_HTTP, url)) == []


@pytest.mark.parametrize("url", ["gateway", "gateway/otlp", "gateway:4318/otlp"])
def test_what_has_no_scheme_is_no_url(tmp_path: Path, url: str) -> None:
    (one,) = found(tmp_path, CLEAN.replace(OTLP_HTTP, url))
    assert (one.rule.id, one.instead) == ("endpoint-form", f"http://{url} or https://{url}")


@pytest.mark.parametrize("scheme", ["", "http://", "https://"])
def test_grpc_has_no_paths(tmp_path: Path, scheme: str) -> None:
    (one,) = found(tmp_path, CLEAN.replace("endpoint: jaeger:4317", f"endpoint: {scheme}jaeger:4317/v1/traces"))
    assert (one.rule.id, one.instead) == ("endpoint-form", "jaeger:4317")


@pytest.mark.parametrize("target", ["dns:///jaeger:4317", "passthrough:///jaeger:4317", "unix:///run/jaeger:1/socket"])
def test_what_names_a_resolver_is_no_path(tmp_path: Path, target: str) -> None:
    assert found(tmp_path, CLEAN.replace("endpoint: jaeger:4317", f"endpoint: {target}")) == []


def test_what_cannot_ask_for_credentials_is_not_told_to(tmp_path: Path) -> None:
    receivers = "  statsd: {endpoint: '[::]:8125'}\n  otlp:\n"
    text = CLEAN.replace("  otlp:\n", receivers, 1).replace("receivers: [otlp, span", "receivers: [otlp, statsd, span")
    (one,) = found(tmp_path, text)
    assert (one.rule.id, one.instead) == ("open-to-all", "127.0.0.1:8125")
    assert "[::]:8125" in one.message


@pytest.mark.parametrize("guard", ["auth:", "tls: {client_ca_file: }"])
def test_an_empty_guard_is_none(tmp_path: Path, guard: str) -> None:
    text = CLEAN.replace("endpoint: 127.0.0.1:4317", f"endpoint: 0.0.0.0:4317\n        {guard}")
    assert [one.rule.id for one in found(tmp_path, text)] == ["open-to-all"]


def test_a_port_of_the_collector_itself_is_found_where_it_is_written(tmp_path: Path) -> None:
    text = CLEAN.replace("127.0.0.1:4318", "127.0.0.1:8888")
    (one,) = found(tmp_path, text)
    assert (one.rule.id, text.splitlines()[one.place.line - 1].strip()) == ("port-twice", "endpoint: 127.0.0.1:8888")


def test_the_exporters_that_loadbalancing_makes_may_be_those_that_go_on(tmp_path: Path) -> None:
    balanced = "    protocol: {otlp: {retry_on_failure: {max_elapsed_time: 0s}}}\n    resolver: {dns: {hostname: a}}\n"
    text = CLEAN.replace("otlp_grpc/jaeger", "loadbalancing").replace("    endpoint: jaeger:4317\n", balanced)
    assert found(tmp_path, text.replace("    retry_on_failure:\n      max_elapsed_time: 0s\n", "", 1)) == []


@pytest.mark.parametrize(
    "receiver",
    [
        "webhookevent: {endpoint: '0.0.0.0:1'}",
        "skywalking: {protocols: {grpc: {endpoint: '0.0.0.0:1'}}}",
        "udplog: {listen_address: '0.0.0.0:1'}",
        "fluentforward: {endpoint: '0.0.0.0:1'}",
    ],
)
def test_all_that_listens_is_looked_at_by_old_names_too(tmp_path: Path, receiver: str) -> None:
    text = CLEAN.replace("  otlp:\n", f"  {receiver}\n  otlp:\n", 1)
    text = text.replace("receivers: [otlp]", f"receivers: [otlp, {receiver.partition(':')[0]}]", 1)
    assert "open-to-all" in {one.rule.id for one in found(tmp_path, text)}


def test_a_port_of_many_digits_is_none(tmp_path: Path) -> None:
    assert found(tmp_path, CLEAN.replace("127.0.0.1:4317", f"'127.0.0.1:{'4' * 5000}'")) == []
