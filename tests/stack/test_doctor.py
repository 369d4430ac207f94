"""`otelext doctor` where nothing is broken: on the whole stack, through credentials, and on other products' APIs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from otelext.doctor.backends.api import Api
from otelext.doctor.backends.prometheus import Prometheus
from otelext.doctor.collectors import telemetry
from otelext.doctor.listener import listener
from otelext.doctor.settings import Access
from tests.stack.backends import tags
from tests.stack.certificates import Certificates
from tests.stack.collectors import Collector, TwoTiers, backends
from tests.stack.doctor import at, examined, run
from tests.stack.servers import Server, until
from tests.stack.stack import Stack
from tests.stack.tempo import tempo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

ALL: Final = {
    "clock",
    "send.traces",
    "send.metrics",
    "send.logs",
    "metric",
    "exemplar",
    "trace",
    "exemplar_to_trace",
    "log",
    "trace_to_log",
}
HEALTHY_WITHIN_S: Final = 20


def well(levels: dict[str, str]) -> set[str]:
    return {check for check, level in levels.items() if level == "ok"}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_healthy_stack_is_all_green_within_seconds(stack: Stack, protocol: str) -> None:
    endpoint = stack.otlp_http if protocol != "grpc" else f"http://{stack.otlp_grpc}"
    found = examined(at(stack, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol), timeout=15)
    assert found.status == 0
    assert well(found.levels) == ALL, found.report
    assert found.seconds < HEALTHY_WITHIN_S
    for check in ("metric", "exemplar", "trace", "exemplar_to_trace", "log", "trace_to_log"):
        assert 0 < found[check]["seconds"] < 10


def test_its_environment_is_green_too(stack: Stack) -> None:
    ended = run(at(stack, OTEL_SERVICE_NAME="clinic"), skip=())
    assert ended.returncode == 0, ended.stdout
    assert "FAIL" not in ended.stdout
    assert "environment.variables" in ended.stdout
    assert "nothing is broken" in ended.stdout


def test_the_canary_is_known_by_its_marks_and_leads_nowhere_else(stack: Stack) -> None:
    trace_id = examined(at(stack)).report["trace_id"]
    (span,) = stack.jaeger.trace(trace_id)
    assert tags(span)["otelext.canary"] is True
    ((labels, line),) = stack.loki.lines(f'{{service_name="otelext-doctor"}} | trace_id="{trace_id}"')
    assert labels["otelext_canary"] == "true"
    assert line.startswith("otelext.canary")
    series = stack.prometheus.query('{__name__=~"otelext_canary.*"}')
    assert {one["metric"]["otelext_canary"] for one in series} == {"true"}
    # By the service's name alone everything that comes of it can be left out.
    marked = stack.prometheus.query('count by (__name__) ({service_name="otelext-doctor"})')
    assert {one["metric"]["__name__"] for one in marked} >= {one["metric"]["__name__"] for one in series}
    others = '{otelext_canary="true",service_name!="otelext-doctor"}'
    assert {one["metric"]["job"] for one in stack.prometheus.query(others)} == {"otelext-doctor"}, (
        "target_info has a job"
    )


def test_its_series_stay_the_same_however_often_it_is_sent(stack: Stack) -> None:
    series = []
    for _ in range(2):
        assert examined(at(stack)).status == 0
        found = stack.prometheus.query('{__name__=~"otelext_canary_duration_seconds.*"}')
        series.append({frozenset(one["metric"].items()) for one in found})
    # Canaries of other tests, which came another way, may be there as well.
    assert series[0] == series[1]
    assert len(series[0]) >= 6


def test_two_tiers(stack: Stack, tiers: TwoTiers) -> None:
    found = examined(at(stack, tiers.agent.otlp_http), timeout=15)
    assert well(found.levels) == ALL, found.report
    assert found.seconds < HEALTHY_WITHIN_S


@pytest.mark.parametrize(
    ("skip", "left_out"),
    [
        ("loki", {"log", "trace_to_log"}),
        ("logs", {"send.logs", "log", "trace_to_log"}),
        ("jaeger", {"trace", "exemplar_to_trace"}),
        ("traces", {"send.traces", "trace", "exemplar_to_trace"}),
        ("mimir", {"metric", "exemplar", "exemplar_to_trace"}),
        ("exemplars", {"exemplar", "exemplar_to_trace"}),
        ("clock", {"clock"}),
    ],
)
def test_what_is_left_out_is_skipped_and_the_rest_is_green(stack: Stack, skip: str, left_out: set[str]) -> None:
    found = examined(at(stack), "--skip", skip)
    assert found.status == 0
    assert well(found.levels) == ALL - left_out, found.report


def test_tempo_behind_a_token(stack: Stack, programs: dict[str, Path], tmp_path: Path) -> None:
    with tempo("the-token") as (otlp, api):
        variables: dict[str, str | Path | int] = {**backends(stack), "TRACES_ENDPOINT": otlp}
        with Collector("tempo", programs["otelcol"], ["single.yaml"], tmp_path, variables) as collector:
            environment = at(stack, collector.otlp_http)
            refused = examined(environment, "--tempo", api)
            assert refused.failed == {"trace"}
            assert "credentials for Tempo's API are missing" in refused["trace"]["cause"]
            assert "export OTELEXT_DOCTOR_TEMPO_HEADERS=" in refused["trace"]["next_step"]
            environment["OTELEXT_DOCTOR_TEMPO_HEADERS"] = "Authorization=Bearer%20the-token"
            found = examined(environment, "--tempo", api)
    assert well(found.levels) == ALL, found.report
    assert found["trace"]["summary"] == "trace found in Tempo"


def test_mimir_below_its_prefix_behind_certificates(stack: Stack, programs: dict[str, Path], tmp_path: Path) -> None:
    """A Prometheus plays it, below the same prefix; what it speaks and asks for is its own."""
    certificates = Certificates.made(tmp_path)
    server, client = certificates.server, certificates.client
    web = {
        "tls_server_config": {
            "cert_file": str(server.chain),
            "key_file": str(server.key),
            "client_ca_file": str(server.authority),
            "client_auth_type": "RequireAndVerifyClientCert",
        }
    }
    (tmp_path / "web.json").write_text(json.dumps(web))
    with Stack(tmp_path / "mimir", programs) as other:
        command = other.servers["prometheus"].command
        command.arguments.extend([f"--web.config.file={tmp_path / 'web.json'}", "--web.route-prefix=/prometheus"])
        port = other.composition.port("prometheus", 9090)
        place = f"https://127.0.0.1:{port}/prometheus"
        mimir = Server("mimir", command, place, tmp_path)
        with_tls = "yaml:exporters::otlp_http/prometheus::tls: " + json.dumps(
            {"ca_file": str(server.authority), "cert_file": str(client.chain), "key_file": str(client.key)}
        )
        variables: dict[str, str | Path | int] = {
            **backends(stack),
            "METRICS_ENDPOINT": f"{place}/api/v1/otlp/v1/metrics",
        }
        mimir.start(wait=False)
        try:
            until(lambda: listener("127.0.0.1", port).speech == "tls", "a Prometheus that speaks TLS")
            files = ["single.yaml", with_tls]
            with Collector("mimir", programs["otelcol"], files, tmp_path, variables) as collector:
                environment = at(stack, collector.otlp_http, OTELEXT_DOCTOR_MIMIR=place)
                del environment["OTELEXT_DOCTOR_PROMETHEUS"]
                refused = examined(environment)
                assert refused.failed == {"metric"}
                assert "TLS fails with Mimir" in refused["metric"]["cause"]
                assert "export OTELEXT_DOCTOR_CERTIFICATE=ca.crt" in refused["metric"]["next_step"]
                shown = {
                    "OTELEXT_DOCTOR_CERTIFICATE": str(server.authority),
                    "OTELEXT_DOCTOR_CLIENT_CERTIFICATE": str(client.chain),
                    "OTELEXT_DOCTOR_CLIENT_KEY": str(client.key),
                    "OTELEXT_DOCTOR_MIMIR_HEADERS": "X-Scope-OrgID=clinic",
                }
                found = examined({**environment, **shown})
        finally:
            mimir.kill()
    assert well(found.levels) == ALL, found.report
    assert "found in Mimir" in found["metric"]["summary"]


def test_no_cause_is_made_of_counters_that_never_rose(stack: Stack) -> None:
    """Collectors show some of theirs from the start, at 0."""
    never = until(
        lambda: stack.prometheus.query('{__name__=~"otelcol_processor_filter_.*_filtered_total"} == 0'),
        "counters at 0",
        60,
    )
    assert never
    with Api(Access("prometheus", stack.prometheus.url)) as api:
        found = telemetry(Prometheus(api), None, 0)
    assert found.known
    counted = (*found.filtered.values(), *found.given_up.values())
    assert [items for one in counted for items in one.values() if items <= 0] == []
