"""What passes the Collector: the list, and what the two files that redact do with it."""

from __future__ import annotations

import re

import pytest

from collector.tools import allowed_attributes
from otelext import semconv
from tests.distro.processes import plain, run_program
from tests.otlp_receiver import OtlpReceiver

from .configurations import Section, pipelines, read

ALLOWED = allowed_attributes.ALLOWED.read_text().splitlines()

UNSAFE = (
    "url.full", "url.path", "url.query", "http.target", "http.url", "user_agent.original", "client.address",
    "network.peer.address", "db.query.text", "db.statement", "db.query.parameter.0", "exception.message",
    "exception.stacktrace", "process.command_line", "process.command_args", "http.request.header.authorization",
    "http.response.header.set-cookie", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.prompt",
    "gen_ai.completion", "gen_ai.system_instructions", "enduser.id", "user.email", "user.full_name", "code.stacktrace",
    "error", "endpoint", "state", "outcome", "receiver", "transport",
)  # fmt: skip


def test_the_list_is_current() -> None:
    assert allowed_attributes.ALLOWED.read_text() == allowed_attributes.render(), (
        "run `python -m collector.tools.allowed_attributes`"
    )


def test_the_whole_catalogue_passes() -> None:
    keys = semconv.SPAN_ATTRIBUTES | {key for metric in semconv.METRICS.values() for key in metric.attribute_keys}
    assert [key for key in sorted(keys) if f"- {key}" not in ALLOWED] == []


def test_the_whole_resource_of_a_service_without_code_passes() -> None:
    with OtlpReceiver() as receiver:
        run_program('import otelext\nwith otelext.inference("chat", model="m"): pass', plain(receiver.endpoint))
    (span,) = receiver.spans
    assert "telemetry.auto.version" in span.resource
    assert [key for key in span.resource if f"- {key}" not in ALLOWED] == []


@pytest.mark.parametrize("key", UNSAFE)
def test_what_a_user_sent_does_not(key: str) -> None:
    assert f"- {key}" not in ALLOWED


def test_both_files_redact_alike() -> None:
    single, gateway = read("single")["processors"], read("gateway")["processors"]
    redacting = {name for name in single if re.match(r"redaction|transform|filter", name)}
    # No agent sends to it, of whose records log.file.name and a Collector's scope would be true.
    assert redacting - gateway.keys() == {"transform/sent_logs"}
    for name in redacting & gateway.keys():
        assert single[name] == without_belief_in_scopes(gateway[name]), name


def without_belief_in_scopes(processor: Section) -> Section:
    statements = processor.get("log_statements")
    if statements is None:
        return processor
    believing = re.compile(r" and not IsMatch\(scope\.name, [^)]+\)")
    return {**processor, "log_statements": [believing.sub("", statement) for statement in statements]}


@pytest.mark.parametrize(
    "scope", ["go.opentelemetry.io/collector/x", "github.com/open-telemetry/opentelemetry-collector-contrib/x"]
)
def test_agents_rename_the_scopes_that_gateways_believe(scope: str) -> None:
    gateway, agent = read("gateway")["processors"], read("agent")
    believing = [gateway["transform/body"], gateway["filter/made_by_collectors"]]
    believed = re.findall(r'IsMatch\(scope\.name, "([^"]+)"', str(believing))
    assert len(believed) == 2
    assert any(re.search(pattern, scope) for pattern in believed)
    for name, parts in pipelines(agent).items():
        if "otlp" in parts["receivers"] and name != "traces":
            assert parts["receivers"] == ["otlp"], "what the agent says itself goes a way of its own"
            (sent,) = (part for part in parts["processors"] if part.startswith("transform/sent"))
            (renamed,) = re.findall(r'replace_pattern\(scope\.name, "([^"]+)"', str(agent["processors"][sent]))
            assert re.search(renamed, scope)


@pytest.mark.parametrize("name", ["single", "gateway"])
def test_whatever_comes_by_otlp_is_redacted_before_it_leaves(name: str) -> None:
    configuration = read(name)
    needed = {
        "traces": ("transform/status", "redaction", "transform/length", "redaction/length"),
        "metrics": (
            *("filter/unstorable", "redaction/metrics", "transform/series_length", "redaction/series_length"),
            "transform/merge",
        ),
        "logs": ("transform/body", "redaction/logs", "transform/body_back"),
    }
    for pipeline, parts in pipelines(configuration).items():
        if "otlp" not in parts["receivers"]:
            continue
        if parts["exporters"] == ["span_metrics"]:  # which reads neither statuses' messages nor trace states
            assert tuple(parts["processors"][-3:]) == needed["traces"][1:]
            continue
        if "filter/not_made_by_collectors" in parts["processors"]:
            continue
        places = [parts["processors"].index(part) for part in needed[pipeline.partition("/")[0]]]
        assert places == sorted(places), pipeline


@pytest.mark.parametrize("name", ["single", "gateway"])
def test_what_span_metrics_makes_is_redacted_too(name: str) -> None:
    takers = [parts for parts in pipelines(read(name)).values() if "span_metrics" in parts["receivers"]]
    assert ["redaction/metrics" in parts["processors"] for parts in takers] == [True]


def test_the_gateway_keeps_what_span_metrics_reads() -> None:
    gateway = read("gateway")
    dimensions = {dimension["name"] for dimension in gateway["connectors"]["span_metrics"]["dimensions"]}
    (kept,) = gateway["processors"]["transform/counted"]["trace_statements"]
    assert set(re.findall(r'"([^"]+)"', kept)) == dimensions


@pytest.mark.parametrize("name", ["single", "gateway"])
def test_nothing_passes_where_a_rule_fails(name: str) -> None:
    processors = read(name)["processors"]
    assert {part["error_mode"] for key, part in processors.items() if key.startswith(("transform", "filter"))} == {
        "propagate"
    }
    for key, part in processors.items():
        if key.startswith("redaction"):
            # Those that take what is too long stand behind others.
            assert part["allow_all_keys"] is key.endswith("length")


def test_the_two_filters_of_the_gateway_are_each_others_opposite() -> None:
    processors = read("gateway")["processors"]
    (left_out,) = processors["filter/made_by_collectors"]["metric_conditions"]
    assert processors["filter/not_made_by_collectors"]["metric_conditions"] == [f"not {left_out}"]
