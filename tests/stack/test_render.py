"""The configurations that `otelext collector render` writes, on the real Collector."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from otelext.pipeline.options import Options
from otelext.pipeline.render import render
from tests.collector.configurations import FOLDER
from tests.pipeline.choices import every, pairwise
from tests.stack import otlp_json
from tests.stack.backends import Prometheus
from tests.stack.collectors import NO_LOG_FILES, Collector, backends
from tests.stack.composition import Command, free_port
from tests.stack.item import TOKEN, Item
from tests.stack.servers import Server, until
from tests.stack.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.certificates import Certificates
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

# The elasticsearch exporter and the kafka receiver are in no Collector that can be built here.
BUILT = [options for options in every() if options.logs != "elasticsearch" and options.kafka != "consumer"]
PASSING = pairwise(options for options in BUILT if options.kafka is None)
TO_KAFKA = [options for options in BUILT if options.kafka == "producer"]


def name_of(options: Options) -> str:
    return options.command.removeprefix("otelext collector render ").replace("--", "").replace(" ", "-")


def rendered(options: Options, folder: Path) -> str:
    file = folder / f"{name_of(options)}.yaml"
    file.write_text(render(options))
    return str(file)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture(scope="module")
def credentials(certificates: Certificates, tokens: Path) -> dict[str, Path]:
    return {
        "TOKEN_FILE": tokens,
        "GATEWAY_TOKEN_FILE": tokens,
        "TLS": certificates.server.folder,
        "GATEWAY_TLS": certificates.client.folder,
    }


def test_the_real_validate_takes_every_configuration(programs: dict[str, Path], tokens: Path, tmp_path: Path) -> None:
    given = {
        "ALLOWED_ATTRIBUTES": str(FOLDER / "allowed_attributes.yaml"),
        "STORAGE": str(tmp_path),
        "TRACES_ENDPOINT": "127.0.0.1:4317",
        "METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics",
        "LOGS_ENDPOINT": "http://127.0.0.1:4318/v1/logs",
        "TOKEN_FILE": str(tokens),
        "GATEWAY_TOKEN_FILE": str(tokens),
    }
    environment = {f"OTELEXT_COLLECTOR_{variable}": value for variable, value in given.items()}

    def refusal(file: str) -> str:
        command = [str(programs["otelcol"]), "validate", f"--config={file}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return "" if done.returncode == 0 else f"{file}: {done.stderr}"

    # Asked by the way, while the next is rendered.
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(refusal, rendered(options, tmp_path)) for options in BUILT]
    assert [found for one in asked if (found := one.result())] == []
    assert len(asked) == 2 * 3 * 4 * 2 * 2 * 4 + 2 * 4


@pytest.mark.parametrize(
    ("options", "variable"),
    [
        (Options("single", traces="otlp"), "TRACES"),
        (Options("gateway", metrics="otlp"), "METRICS"),
        (Options("gateway", logs="otlp"), "LOGS"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.command,
)
def test_an_address_that_nobody_gave_stops_the_collector(
    programs: dict[str, Path], tmp_path: Path, options: Options, variable: str
) -> None:
    environment = {"OTELEXT_COLLECTOR_ALLOWED_ATTRIBUTES": str(FOLDER / "allowed_attributes.yaml")}
    command = [str(programs["otelcol"]), f"--config={rendered(options, tmp_path)}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"{variable}_ENDPOINT is not set" in done.stderr or f"{variable.lower()}_endpoint must be" in done.stderr


@dataclass(frozen=True)
class Scrape:
    """Prometheus, which scrapes what a configuration of its own names."""

    server: Server
    prometheus: Prometheus
    ports: dict[Options, int]


@pytest.fixture(scope="module")
def scrape(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrape]:
    ports = {options: free_port() for options in PASSING if options.metrics == "prometheus-scrape"}
    assert len(ports) > 1
    folder, port = tmp_path_factory.mktemp("scrape"), free_port()
    (example,) = (FOLDER / "alternatives/prometheus_scrape.yaml").read_text().split("scrape_configs:")[1:]
    job = "".join(line.removeprefix("#") + "\n" for line in example.partition("\n\n")[0].splitlines())
    job = job.replace("15s", "1s").replace(
        '"localhost:8889"', ", ".join(f'"127.0.0.1:{port}"' for port in ports.values())
    )
    (folder / "prometheus.yml").write_text(f"scrape_configs:{job}")
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    url = f"http://127.0.0.1:{port}"
    with Server("scraping", Command(str(programs["prometheus"]), arguments, {}), f"{url}/-/ready", folder) as server:
        yield Scrape(server, Prometheus(url), ports)


@pytest.fixture(scope="module")
def sink(
    programs: dict[str, Path],
    stack: Stack,
    certificates: Certificates,
    tokens: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Sink]:
    with Sink(programs["otelcol"], tmp_path_factory.mktemp("sink"), stack, certificates.server, tokens) as sink:
        yield sink


@pytest.fixture(scope="module")
def collectors(
    programs: dict[str, Path],
    stack: Stack,
    sink: Sink,
    scrape: Scrape,
    credentials: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[Options, Collector]]:
    """One for each pair of choices, all at once, as each takes a second to start."""
    folder = tmp_path_factory.mktemp("rendered")
    with ExitStack() as running:
        started: dict[Options, Collector] = {}
        for options in PASSING:
            collector = Collector(
                name_of(options),
                programs["otelcol"],
                [rendered(options, folder)],
                folder,
                {
                    **credentials,
                    **way(options, stack, sink),
                    "METRICS_LISTEN": f"127.0.0.1:{scrape.ports.get(options, 0)}",
                },
            )
            running.push(collector)
            collector.start(wait=False)
            started[options] = collector
        yield started


def way(options: Options, stack: Stack, sink: Sink) -> dict[str, str]:
    """The variables that lead to what was chosen."""
    if options.tier == "agent":
        door = {0: sink.otlp_grpc, 1: sink.mtls, 2: sink.mtls_and_bearer}
        gateway = door[len(options.auth) if "mtls" in options.auth else 0]
        return {"GATEWAYS": f"[{gateway}]", "GATEWAY": gateway, **NO_LOG_FILES}
    found = {**backends(stack), "DECISION_WAIT": "2s", "DECISION_WAIT_AFTER_ROOT": "1s"}
    if options.traces != "jaeger":
        found["TRACES_ENDPOINT"] = sink.otlp_grpc
    if options.metrics in {"mimir", "otlp"}:
        found["METRICS_ENDPOINT"] = sink.mimir if options.metrics == "mimir" else f"{sink.otlp_http}/v1/metrics"
    if options.logs != "loki":
        found["LOGS_ENDPOINT"] = f"{sink.otlp_http}/v1/logs"
    return found


@pytest.mark.parametrize("options", PASSING, ids=name_of)
def test_each_pair_of_choices_passes_one_item_of_each_signal(
    options: Options,
    stack: Stack,
    collectors: dict[Options, Collector],
    certificates: Certificates,
    request: pytest.FixtureRequest,
) -> None:
    collector = collectors[options]
    collector.wait_until_ready()
    item = Item(name_of(options), options.auth)
    item.send(collector, certificates)
    until(lambda: stack.jaeger.trace(item.trace_id), "the trace")
    prometheus = stack.prometheus
    if options.metrics == "prometheus-scrape":
        scrape: Scrape = request.getfixturevalue("scrape")
        prometheus = scrape.prometheus
    (series,) = until(lambda: item.series(prometheus), "the data point")
    assert series["value"][1] == "7"
    # Labels are the same, whether Prometheus is sent to or asks.
    labels = {key: value for key, value in series["metric"].items() if key != "host_name"}
    assert labels == {
        "__name__": "rendered_items_total",
        "job": item.service,
        "instance": "one",
        "service_name": item.service,
        "service_instance_id": "one",
        "vlm_stage": "prefill",
    }
    found = until(lambda: stack.loki.lines(f'{{service_name="{item.service}"}}'), "the line")
    assert [line for _, line in found] == ["a line"]
    assert collector.is_running
    said = [line for line in collector.output.splitlines() if "\terror\t" in line or "\tfatal\t" in line]
    assert [line for line in said if "client didn't provide a certificate" not in line] == []


def test_exemplars_are_scraped(
    collectors: dict[Options, Collector], scrape: Scrape, certificates: Certificates
) -> None:
    options = next(options for options in scrape.ports if options.sampling == "none")
    collectors[options].wait_until_ready()
    item = Item(name_of(options), options.auth)
    now = time.time_ns()
    exemplar = {"timeUnixNano": str(now), "asDouble": 0.3, "traceId": item.trace_id, "spanId": "1" * 16}
    point = {
        "startTimeUnixNano": str(now - 10**9),
        "timeUnixNano": str(now),
        "count": "1",
        "sum": 0.3,
        "explicitBounds": [0.5],
        "bucketCounts": ["1", "0"],
        "exemplars": [exemplar],
    }
    metric = {"name": "rendered.time", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}}
    item.messages = lambda: {"metrics": otlp_json.metrics([metric], item.resource)}  # type: ignore[method-assign]
    item.send(collectors[options], certificates)
    selector = f'rendered_time_seconds_bucket{{service_name="{item.service}"}}'
    found = until(lambda: scrape.prometheus.exemplars(selector), "the exemplar")
    assert {one["labels"]["trace_id"] for one in found} == {item.trace_id}


@pytest.mark.parametrize("options", TO_KAFKA, ids=name_of)
def test_without_a_broker_an_agent_runs_and_keeps_what_it_was_sent(
    options: Options,
    programs: dict[str, Path],
    credentials: dict[str, Path],
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    variables: dict[str, str | Path | int] = {
        **credentials,
        **NO_LOG_FILES,
        "KAFKA_BROKERS": f"[127.0.0.1:{free_port()}]",
    }
    files = [rendered(options, tmp_path)]
    with Collector("agent", programs["otelcol"], files, tmp_path, variables) as agent:
        Item(name_of(options), options.auth).send(agent, certificates)
        until(
            lambda: "unable to dial" in agent.output or "unable to open connection" in agent.output,
            "word of the broker",
        )
        assert agent.is_running
        assert "Dropping data" not in agent.output
        agent.kill()
    queues = sorted(path.name for path in (tmp_path / "agent").iterdir() if "kafka" in path.name)
    assert [name.rpartition("_")[2] for name in queues] == ["logs", "metrics", "traces"]
