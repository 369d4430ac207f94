"""`otelext doctor`, where a hop behind the Collector is broken: each way is built for real, and named by it."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from otelext.doctor.canary import Canary, Preferences
from otelext.doctor.endpoint import endpoints
from otelext.doctor.sender import send
from tests.stack import otlp_json
from tests.stack.collectors import Collector, backends
from tests.stack.composition import free_port
from tests.stack.doctor import at, examined
from tests.stack.servers import get, until
from tests.stack.small_disk import SmallDisk
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.doctor import Examined

    Start = Callable[..., Collector]

pytestmark = pytest.mark.timeout(180)

# Every 15 s otherwise, which each test that reads what the Collector says of itself would wait for.
QUICK: Final = (
    "yaml:service::telemetry::metrics::readers: [{periodic: {interval: 500, timeout: 500, exporter: {otlp: {protocol: grpc,"
    " endpoint: 'http://127.0.0.1:${env:OTELEXT_COLLECTOR_SELF_PORT}', insecure: true, timeout: 500}}}}]"
)
WELL: Final = {"send.traces", "send.metrics", "send.logs", "clock"}
ALL: Final = {*WELL, "metric", "exemplar", "trace", "exemplar_to_trace", "log", "trace_to_log"}


@pytest.fixture
def collector(stack: Stack, programs: dict[str, Path], tmp_path: Path) -> Iterator[Start]:
    """Starts a Collector in front of the stack's backends; files and variables that differ are given."""
    with ExitStack() as running:

        def start(*overlays: str, file: str = "single.yaml", **variables: str | int) -> Collector:
            given: dict[str, str | Path | int] = {**backends(stack), **variables}
            made = Collector("broken", programs["otelcol"], [file, *overlays], tmp_path, given)
            return running.enter_context(made)

        yield start


@pytest.fixture
def other(programs: dict[str, Path], tmp_path: Path) -> Iterator[Stack]:
    """Servers of another kind than the stack's; whoever wants one changes and starts it."""
    with Stack(tmp_path / "other", programs) as other:
        yield other


def names(found: Examined, check: str, cause: str, next_step: str, *, skipped: set[str]) -> None:
    """This hop alone fails, for this cause and with this next step; what needs it is skipped, all else is well."""
    assert found.failed == {check}, found.report
    assert found.status == 1
    assert cause in found[check]["cause"], found[check]
    assert next_step in found[check]["next_step"], found[check]
    assert {name for name, level in found.levels.items() if level == "skipped"} - {"environment"} == skipped
    assert found.seconds < 15


def closed() -> str:
    return f"127.0.0.1:{free_port()}"


def test_an_exporter_of_traces_to_a_dead_backend(stack: Stack, collector: Start) -> None:
    found = examined(at(stack, collector(TRACES_ENDPOINT=closed()).otlp_http))
    step = "docker compose -f docker-compose.otel.yml up --detach jaeger"
    names(found, "trace", "otlp_grpc/jaeger does not reach Jaeger", step, skipped={"exemplar_to_trace", "trace_to_log"})
    assert "waits in the exporter's queue" in found["trace"]["cause"]
    assert "connection refused" in str(found["trace"]["evidence"])


def test_an_exporter_of_metrics_to_a_dead_backend(stack: Stack, collector: Start) -> None:
    dead = f"http://{closed()}/api/v1/otlp/v1/metrics"
    found = examined(at(stack, collector(METRICS_ENDPOINT=dead).otlp_http))
    step = "docker compose -f docker-compose.otel.yml up --detach prometheus"
    names(found, "metric", "otlp_http/prometheus does not reach", step, skipped={"exemplar", "exemplar_to_trace"})
    assert "waits in the exporter's queue" in found["metric"]["cause"]


def test_an_exporter_of_logs_to_a_dead_backend_is_known_by_its_queue(stack: Stack, collector: Start) -> None:
    # Its own log goes the same way, and is not there to be read.
    broken = collector(QUICK, LOGS_ENDPOINT=f"http://{closed()}/otlp/v1/logs")
    found = examined(at(stack, broken.otlp_http))
    cause = "waits in the queue of the Collector's otlp_http/loki"
    names(found, "log", cause, "logs collector", skipped={"trace_to_log"})
    assert "otelcol_exporter_queue_size" in str(found["log"]["evidence"])


def test_a_backend_that_is_down(stack: Stack, collector: Start) -> None:
    dead = closed()
    environment = at(stack, collector(TRACES_ENDPOINT=dead).otlp_http, OTELEXT_DOCTOR_JAEGER=f"http://{dead}")
    found = examined(environment)
    step = "docker compose -f docker-compose.otel.yml up --detach jaeger"
    # The line is found by the id that was sent.
    names(found, "trace", "Jaeger is down", step, skipped={"exemplar_to_trace"})
    assert "otlp_grpc/jaeger logs" in str(found["trace"]["evidence"]), "what the Collector says of it is evidence too"
    assert "the Collector keeps what it accepted" in found["trace"]["cause"]


def test_backends_that_are_down_and_left_out(stack: Stack) -> None:
    dead = f"http://{closed()}"
    environment = at(stack, OTELEXT_DOCTOR_LOKI=dead, OTELEXT_DOCTOR_JAEGER=dead)
    assert examined(environment).failed == {"trace", "log"}
    found = examined(environment, "--skip", "loki", "--skip", "tempo")
    assert found.status == 0
    assert {check for check, level in found.levels.items() if level == "ok"} == {*WELL, "metric", "exemplar"}


def test_a_backend_that_hangs_is_not_waited_for_long(stack: Stack, other: Stack, collector: Start) -> None:
    other.start("jaeger")
    made = collector(TRACES_ENDPOINT=backends(other)["TRACES_ENDPOINT"])
    os.kill(other.servers["jaeger"].pid, signal.SIGSTOP)
    found = examined(at(stack, made.otlp_http, OTELEXT_DOCTOR_JAEGER=other.jaeger.url))
    names(found, "trace", "Jaeger gives no answer", "curl -v", skipped={"exemplar_to_trace"})


def test_a_collector_that_hangs_is_not_waited_for_long(stack: Stack, collector: Start) -> None:
    made = collector()
    os.kill(made.pid, signal.SIGSTOP)
    for protocol, endpoint in (("http/protobuf", made.otlp_http), ("grpc", f"http://{made.otlp_grpc}")):
        found = examined(at(stack, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol))
        assert found.failed == {"send.traces", "send.metrics", "send.logs"}
        assert "says nothing: it hangs" in found["send.logs"]["cause"]
        assert found.seconds < 15


def prometheus_of(other: Stack, *without: str, file: dict[str, str] | None = None) -> Stack:
    """Another Prometheus: without some of its arguments, and with some of its file's text replaced."""
    server = other.servers["prometheus"]
    arguments = [argument for argument in server.command.arguments if argument not in without]
    assert len(arguments) == len(server.command.arguments) - len(without)
    server.command = dataclasses.replace(server.command, arguments=arguments)
    path = other.composition.path("prometheus", "/etc/prometheus/prometheus.yml")
    text = path.read_text()
    for before, after in (file or {}).items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    other.start("prometheus")
    return other


def through(stack: Stack, other: Stack, collector: Start) -> dict[str, str]:
    """The environment of a doctor whose metrics go to another Prometheus."""
    made = collector(METRICS_ENDPOINT=backends(other)["METRICS_ENDPOINT"])
    return at(stack, made.otlp_http, OTELEXT_DOCTOR_PROMETHEUS=other.prometheus.url)


def test_a_prometheus_without_its_receiver_of_otlp(stack: Stack, other: Stack, collector: Start) -> None:
    prometheus_of(other, "--web.enable-otlp-receiver")
    found = examined(through(stack, other, collector))
    skipped = {"exemplar", "exemplar_to_trace"}
    names(found, "metric", "receiver of OTLP is off", "--web.enable-otlp-receiver", skipped=skipped)


def test_a_prometheus_that_stores_no_exemplars(stack: Stack, other: Stack, collector: Start) -> None:
    prometheus_of(other, "--enable-feature=exemplar-storage")
    found = examined(through(stack, other, collector))
    step = "--enable-feature=exemplar-storage"
    names(found, "exemplar", "stores no exemplars", step, skipped={"exemplar_to_trace"})
    assert found.levels["trace_to_log"] == "ok", "the line is found without an exemplar"


def test_a_prometheus_that_refuses_what_is_out_of_order(stack: Stack, other: Stack, collector: Start) -> None:
    prometheus_of(other, file={"out_of_order_time_window: 12h": "out_of_order_time_window: 0s"})
    environment = through(stack, other, collector)
    assert examined(environment).status == 0, "as long as none is"
    # Another doctor, whose clock is ahead by five minutes.
    canary = Canary.made(Preferences())
    ahead = dataclasses.replace(canary, moment=canary.moment + 300 * 10**9)
    assert send(endpoints(environment)["metrics"], ahead.request("metrics")).accepted
    at_its_time = f"otelext_canary_duration_seconds_sum @ {ahead.moment / 1e9:.3f}"
    until(lambda: other.prometheus.value(at_its_time) == ahead.value, "the sample that is ahead")
    found = examined(environment)
    skipped = {"exemplar", "exemplar_to_trace"}
    names(found, "metric", "out of order", "out_of_order_time_window: 12h", skipped=skipped)
    assert "of a clock that was ahead" in found["metric"]["cause"]
    assert "takes none out of order" in found["metric"]["cause"]


def test_a_prometheus_that_calls_metrics_otherwise(stack: Stack, other: Stack, collector: Start) -> None:
    prometheus_of(other, file={"UnderscoreEscapingWithSuffixes": "NoTranslation"})
    found = examined(through(stack, other, collector))
    names(found, "metric", "spells it otelext.canary.duration", "translation_strategy", skipped=set())


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return get(url).status_code == 200
    return False


def test_a_loki_that_refuses_an_over_long_label_set(
    stack: Stack, other: Stack, collector: Start, request: pytest.FixtureRequest
) -> None:
    path = other.composition.path("loki", "/etc/loki/loki.yaml")
    labels = [f"label.{n}" for n in range(20)]
    before = "default_resource_attributes_as_index_labels:\n"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, before + "".join(f"      - {label}\n" for label in labels)))
    # It calls itself ready 15 s after its start, and takes lines at once.
    loki = other.servers["loki"]
    loki.start(wait=False)
    request.addfinalizer(loki.kill)
    until(lambda: answers(f"{other.loki.url}/loki/api/v1/labels"), "a Loki that can be asked")
    sets = [f'set(resource.attributes["{label}"], "x")' for label in labels]
    statements = "yaml:processors::transform/labels::log_statements: [{statements: [" + ", ".join(
        f"'{one}'" for one in sets
    )
    pipeline = (
        "yaml:service::pipelines::logs: {receivers: [otlp], processors: [memory_limiter, transform/labels], exporters:"
        " [otlp_http/loki]}"
    )
    made = collector(statements + "]}]", pipeline, LOGS_ENDPOINT=backends(other)["LOGS_ENDPOINT"])
    found = examined(at(stack, made.otlp_http, OTELEXT_DOCTOR_LOKI=other.loki.url))
    step = "default_resource_attributes_as_index_labels"
    names(found, "log", "refuses the line's label set", step, skipped={"trace_to_log"})
    assert "max_label_names_per_series" in found["log"]["cause"]


def test_a_jaeger_whose_disk_is_full(stack: Stack, other: Stack, collector: Start) -> None:
    folder = other.composition.path("jaeger", "/var/lib/jaeger")
    with SmallDisk(folder, 20 * 2**20) as disk, other:
        jaeger = other.servers["jaeger"]
        jaeger.command = disk.command(jaeger.command)
        other.start("jaeger")
        made = collector(TRACES_ENDPOINT=backends(other)["TRACES_ENDPOINT"])
        environment = at(stack, made.otlp_http, OTELEXT_DOCTOR_JAEGER=other.jaeger.url)
        # On the machine that has this disk.
        assert examined(environment, within=disk).status == 0
        disk.occupy(disk.free)

        def ended() -> bool:
            span = otlp_json.span(otlp_json.trace_id(), "fills the page that is begun", {"http.route": "x" * 3000})
            otlp_json.post(made.otlp_http, "traces", otlp_json.traces([span], {}))
            return not jaeger.is_running

        until(ended, "the end of a Jaeger that can't write")
        found = examined(environment, within=disk)
    names(found, "trace", f"the disk at {folder} is full", f"df -h {folder}", skipped={"exemplar_to_trace"})
    assert "Jaeger is down" in found["trace"]["cause"]


def test_a_prometheus_whose_disk_is_full(stack: Stack, other: Stack, collector: Start) -> None:
    folder = other.composition.path("prometheus", "/prometheus")
    with SmallDisk(folder, 40 * 2**20) as disk, other:
        server = other.servers["prometheus"]
        server.command = disk.command(server.command)
        other.start("prometheus")
        environment = through(stack, other, collector)
        disk.occupy(disk.free)
        found = examined(environment)
    skipped = {"exemplar", "exemplar_to_trace"}
    names(found, "metric", "can't write to its disk", "df -h", skipped=skipped)


def test_a_gateway_that_has_not_decided_yet(stack: Stack, collector: Start) -> None:
    made = collector(QUICK, file="gateway.yaml", DECISION_WAIT_AFTER_ROOT="60s")
    found = examined(at(stack, made.otlp_http))
    step = "otelext doctor --timeout 150"
    names(found, "trace", "has not decided", step, skipped={"exemplar_to_trace", "trace_to_log"})


def test_sampling_that_drops_the_canary(stack: Stack, collector: Start) -> None:
    policies = "yaml:processors::tail_sampling::policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]"
    made = collector(QUICK, policies, file="gateway.yaml", DECISION_WAIT="1s", DECISION_WAIT_AFTER_ROOT="1s")
    found = examined(at(stack, made.otlp_http))
    names(found, "trace", "sampling dropped the canary", "canaries", skipped={"exemplar_to_trace", "trace_to_log"})
    assert "samplers dropped" in str(found["trace"]["evidence"])


def test_a_queue_of_a_collector_that_is_gone_explains_nothing(stack: Stack, collector: Start) -> None:
    gone = collector(QUICK, TRACES_ENDPOINT=closed())
    assert "waits in the exporter's queue" in examined(at(stack, gone.otlp_http))["trace"]["cause"]
    gone.stop()
    made = collector(QUICK, file="gateway.yaml", DECISION_WAIT_AFTER_ROOT="60s")
    found = examined(at(stack, made.otlp_http))
    names(found, "trace", "has not decided", "--timeout 150", skipped={"exemplar_to_trace", "trace_to_log"})


def test_a_gateway_keeps_canaries_and_shows_them_when_it_has_decided(stack: Stack, collector: Start) -> None:
    made = collector(file="gateway.yaml", DECISION_WAIT_AFTER_ROOT="2s", SAMPLING_PERCENTAGE=0)
    found = examined(at(stack, made.otlp_http), timeout=15)
    assert found.status == 0, found.report
    assert found["trace"]["seconds"] >= 2 > found["metric"]["seconds"]


def shifted(by: str) -> dict[str, str]:
    """The variables by which a program's clock is off."""
    package = importlib.util.find_spec("libfaketime")
    if package is None or package.origin is None:
        pytest.skip("libfaketime is not installed: it has no build for this system")
    library = Path(package.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    return {"LD_PRELOAD": str(library), "FAKETIME": by, "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_clock_that_is_an_hour_ahead(stack: Stack, protocol: str) -> None:
    endpoint = stack.otlp_http if protocol != "grpc" else f"http://{stack.otlp_grpc}"
    found = examined(at(stack, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, **shifted("+1h")))
    assert found.failed == {"clock", "metric", "log"}
    assert "60 min ahead" in found["clock"]["summary"]
    assert "this machine's clock is wrong" in found["clock"]["cause"]
    assert "timedatectl" in found["clock"]["next_step"]
    for check in ("metric", "log"):
        assert "clock is 3600 s" in found[check]["cause"], found[check]


def test_a_clock_that_is_an_hour_behind(stack: Stack) -> None:
    found = examined(at(stack, **shifted("-1h")))
    assert found.failed == {"clock"}, "what is late is taken, and looked for at the wrong time"
    assert "60 min behind" in found["clock"]["summary"]


def test_a_clock_that_is_an_hour_behind_before_a_prometheus_that_takes_nothing_late(
    stack: Stack, other: Stack, collector: Start
) -> None:
    prometheus_of(other, file={"out_of_order_time_window: 12h": "out_of_order_time_window: 0s"})
    environment = through(stack, other, collector)
    assert examined(environment).status == 0
    found = examined({**environment, **shifted("-1h")})
    assert found.failed == {"clock", "metric"}
    assert "clock is 3600 s behind" in found["metric"]["cause"]


def test_seconds_that_a_clock_is_off_are_a_warning(stack: Stack) -> None:
    found = examined(at(stack, **shifted("+10s")))
    assert found.status == 0
    assert {check for check, level in found.levels.items() if level == "warning"} == {"clock"}


@pytest.mark.parametrize("preference", ["delta", "LowMemory"])
def test_delta_temporality(stack: Stack, preference: str) -> None:
    variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    found = examined(at(stack, **{variable: preference}))
    skipped = {"exemplar", "exemplar_to_trace"}
    names(found, "metric", f"{variable} asks for delta temporality", f"export {variable}=cumulative", skipped=skipped)


def test_exponential_histograms(stack: Stack) -> None:
    variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    found = examined(at(stack, **{variable: "base2_exponential_bucket_histogram"}))
    step = f"export {variable}=explicit_bucket_histogram"
    names(found, "metric", "queries of _bucket find nothing", step, skipped=set())
    assert "exponential" in found["metric"]["cause"]


def test_a_prometheus_that_turns_histograms_into_native_ones(stack: Stack, other: Stack, collector: Start) -> None:
    prometheus_of(other, file={"otlp:\n": "otlp:\n  convert_histograms_to_nhcb: true\n"})
    found = examined(through(stack, other, collector))
    names(found, "metric", "turns histograms into native ones", "convert_histograms_to_nhcb: false", skipped=set())
