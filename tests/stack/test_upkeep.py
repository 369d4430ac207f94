"""`docs/upkeep.md`: retention, backup, restore and restarts, by the commands that stand there."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from ruamel.yaml import YAML

from tests.stack import otlp_json
from tests.stack.container_engine import ContainerEngine
from tests.stack.documentation import documented
from tests.stack.servers import get, until
from tests.stack.signals import SIGNALS, TRACES
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(400)

DAY: Final = 86_400
RETENTION: Final = 30 * DAY
ITEMS: Final = 5
TRACE_ID, SPAN_ID = "5eed" * 8, "5eed" * 4
METRIC: Final = "upkeep_duration_seconds"


# --- what is sent, and what is there ----------------------------------------------------------------------------------


def send(stack: Stack, service: str) -> None:
    """A trace, the values of a counter and log lines, which the Collector accepts."""
    for signal in SIGNALS:
        body = signal.request(service, 1, ITEMS, 0)
        headers = {"content-type": "application/x-protobuf"}
        answer = httpx.post(stack.otlp_http + signal.path, content=body, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text


def send_exemplar(stack: Stack) -> None:
    now = str(time.time_ns())
    exemplar = {"timeUnixNano": now, "asDouble": 0.5, "traceId": TRACE_ID, "spanId": SPAN_ID}
    point = {
        "startTimeUnixNano": now,
        "timeUnixNano": now,
        "count": "1",
        "sum": 0.5,
        "bucketCounts": ["1", "0"],
        "explicitBounds": [1],
        "exemplars": [exemplar],
    }
    histogram = {"aggregationTemporality": 2, "dataPoints": [point]}
    metric = {"name": "upkeep.duration", "unit": "s", "histogram": histogram}
    answer = otlp_json.post(stack.otlp_http, "metrics", otlp_json.metrics([metric], {"service.name": "before"}))
    assert answer.status_code == 200, answer.text


def has(stack: Stack, service: str) -> bool:
    """Whether each backend has what was sent, each item of it once."""
    return all(signal.stored(stack, service) == Counter({1: ITEMS}) for signal in SIGNALS)


def exemplars(stack: Stack) -> list[tuple[str, str]]:
    found = stack.prometheus.exemplars(f"{METRIC}_bucket")
    return [(exemplar["labels"]["trace_id"], exemplar["value"]) for exemplar in found]


def silence(stack: Stack) -> None:
    begin = datetime.now(timezone.utc)
    message = {
        "matchers": [{"name": "alertname", "value": "Upkeep", "isRegex": False}],
        "startsAt": begin.isoformat(),
        "endsAt": (begin + timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": "kept",
    }
    url = f"{stack.composition.url('alertmanager', 9093)}/api/v2/silences"
    assert httpx.post(url, json=message, trust_env=False).status_code == 200


def silences(stack: Stack) -> list[str]:
    found = get(f"{stack.composition.url('alertmanager', 9093)}/api/v2/silences").raise_for_status().json()
    return [one["comment"] for one in found if one["status"]["state"] == "active"]


def grafana_file(stack: Stack) -> Path:
    return stack.composition.path("grafana", "/var/lib/grafana") / "grafana.db"


def write_grafana_file(stack: Stack) -> None:
    """No Grafana runs here; to the backup it is a file."""
    with closing(sqlite3.connect(grafana_file(stack))) as database, database:
        database.execute("CREATE TABLE dashboard (title TEXT)")
        database.execute("INSERT INTO dashboard VALUES ('kept')")


# --- what is old ------------------------------------------------------------------------------------------------------


def push_line(stack: Stack, age: int) -> str:
    """A line that is `age` seconds old, in a stream of its own; the answer is the day's table in Loki's index."""
    at = int(time.time()) - age
    message = {"streams": [{"stream": {"service_name": f"aged {age}"}, "values": [[str(at * 10**9), "line"]]}]}
    answer = httpx.post(f"{stack.loki.url}/loki/api/v1/push", json=message, trust_env=False)
    assert answer.status_code == 204, answer.text
    return f"index_{at // DAY}"


def write_blocks(promtool: Path, stack: Stack) -> None:
    """Blocks of samples of other days, which no Prometheus would take any more."""
    folder = stack.composition.path("prometheus", "/prometheus")
    ages = {"past": RETENTION + DAY, "kept": RETENTION - DAY, "newest": 4 * 3600}
    lines = [f'upkeep_age{{age="{name}"}} 1 {time.time() - age:.0f}' for name, age in ages.items()]
    source = folder.parent / "openmetrics"
    source.write_text("\n".join(["# TYPE upkeep_age gauge", *reversed(lines), "# EOF", ""]))
    command: list[str | Path] = [promtool, "tsdb", "create-blocks-from", "openmetrics", source, folder]
    subprocess.run(command, check=True, capture_output=True)


# --- the story --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Move:
    """A stack whose stores were away while the Collector queued; and what was restored on another machine."""

    old: Stack
    new: Stack
    past: str
    """The table in Loki's index with the one line whose time is over."""


@pytest.fixture(scope="module")
def moved(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Move]:
    folder = tmp_path_factory.mktemp("moved")
    old, new = Stack(folder / "old", programs), Stack(folder / "new", programs)
    # For readers only what says which configuration it runs with; for Loki, minutes in place of hours.
    old.servers["jaeger"].command.arguments.append("--set=extensions::healthcheckv2::http::config::enabled=true")
    old.servers["loki"].command.arguments.append("-compactor.compaction-interval=1s")
    with ExitStack() as running:
        here = running.enter_context(ContainerEngine(old, folder / "here"))
        there = running.enter_context(ContainerEngine(new, folder / "there"))
        *_, up = documented("Restore")[0].splitlines()
        here.run(up)
        for server in old.servers.values():
            server.wait_until_ready()
        # Loki takes no line whose time is over: that of this one will be.
        past = push_line(old, RETENTION - 3)
        push_line(old, RETENTION - 2 * DAY)
        httpx.post(f"{old.loki.url}/flush", trust_env=False).raise_for_status()
        send(old, "before")
        send_exemplar(old)
        silence(old)
        write_grafana_file(old)
        until(lambda: has(old, "before"), "what was sent")
        until(lambda: exemplars(old), "an exemplar")

        here.run("docker stop prometheus jaeger loki alertmanager")
        send(old, "queued")
        write_blocks(programs["promtool"], old)
        (move,) = documented("Move to another machine")
        here.run(move)
        assert not any(server.is_running for server in old.servers.values())
        shutil.copytree(here.checkout / "backup", there.checkout / "backup")
        here.run(up)
        (restore,) = documented("Restore")
        there.run(restore)
        for server in (*old.servers.values(), *new.servers.values()):
            server.wait_until_ready()
        yield Move(old, new, past)


def test_what_was_stored_before_a_restart_is_there_after_it(moved: Move) -> None:
    until(lambda: has(moved.old, "before"), "what was stored")
    assert exemplars(moved.old) == [(TRACE_ID, "0.5")]
    assert silences(moved.old) == ["kept"]


def test_what_was_queued_before_a_restart_is_delivered_after_it_once(moved: Move) -> None:
    until(lambda: has(moved.old, "queued"), "what was queued", 60)
    # Stores notice what they have already, so the receiver is asked.
    metrics = get(moved.old.composition.url("jaeger", 14269) + "/metrics").text
    received = re.findall(r"^otelcol_receiver_accepted_spans(?:_total)?\{.*\} (\S+)$", metrics, re.MULTILINE)
    assert sum(map(float, received)) == ITEMS


def test_what_was_restored_is_what_was_stored(moved: Move) -> None:
    until(lambda: has(moved.new, "before"), "what was restored")
    assert exemplars(moved.new) == [(TRACE_ID, "0.5")]
    assert silences(moved.new) == ["kept"]
    with closing(sqlite3.connect(grafana_file(moved.new))) as database:
        assert database.execute("SELECT title FROM dashboard").fetchall() == [("kept",)]


def test_a_queue_that_was_moved_is_delivered(moved: Move) -> None:
    until(lambda: has(moved.new, "queued"), "what was queued", 60)


# --- retention --------------------------------------------------------------------------------------------------------


def test_each_store_keeps_thirty_days_by_default(moved: Move) -> None:
    api = f"{moved.old.prometheus.url}/api/v1/status"
    assert get(f"{api}/flags").json()["data"]["storage.tsdb.retention.time"] == "30d"
    assert get(f"{api}/runtimeinfo").json()["data"]["storageRetention"] == "30d"

    loki = YAML(typ="safe").load(get(f"{moved.old.loki.url}/config").text)
    assert loki["compactor"]["retention_enabled"] is True
    assert loki["limits_config"]["retention_period"] == "30d"
    assert not loki["limits_config"].get("retention_stream")

    jaeger: dict[str, Any] = get(moved.old.composition.url("jaeger", 13133) + "/config").json()
    (badger,) = jaeger["extensions"]["jaeger_storage"]["backends"].values()
    assert badger["badger"]["ttl"]["spans"] == RETENTION * 10**9


def test_prometheus_deletes_blocks_past_the_retention(moved: Move) -> None:
    def ages(stack: Stack) -> set[str]:
        return {one["metric"]["age"] for one in stack.prometheus.query("last_over_time(upkeep_age[40d])")}

    until(lambda: ages(moved.old) == {"kept", "newest"}, "the end of a block")


def test_loki_deletes_lines_past_the_retention(moved: Move) -> None:
    """The compactor takes them out of the index at once; readers and the disk follow in minutes and hours."""

    def marked() -> set[str]:
        metrics = get(f"{moved.old.loki.url}/metrics").text
        found = re.findall(r'^loki_\w*retention_marker_count_total\{.*table="(\w+)".*\} (\S+)$', metrics, re.MULTILINE)
        return {table for table, count in found if float(count)}

    assert until(marked, "a line's end in Loki's index", 60) == {moved.past}


def test_jaeger_deletes_spans_past_the_retention(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Stack(tmp_path_factory.mktemp("brief"), programs, {"TELEMETRY_RETENTION": "4s"}) as stack:
        stack.start("jaeger", "collector")
        send(stack, "brief")
        until(lambda: TRACES.stored(stack, "brief"), "the trace")
        until(lambda: not TRACES.stored(stack, "brief"), "its end")
