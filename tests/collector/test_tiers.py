"""What the agent and the gateway promise each other, and what the agent reads."""

from __future__ import annotations

import re

from otelext import semconv

from .configurations import pipelines, read, with_defaults

AGENT = with_defaults(read("agent"))
GATEWAY = with_defaults(read("gateway"))
SINGLE = with_defaults(read("single"))


def test_spans_of_a_trace_go_to_one_gateway() -> None:
    assert AGENT["exporters"]["loadbalancing"]["routing_key"] == "traceID"


def test_a_part_of_a_batch_is_tried_again_and_not_the_whole() -> None:
    balancer = AGENT["exporters"]["loadbalancing"]
    part = balancer["protocol"]["otlp"]
    assert part["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert part["sending_queue"] == {"enabled": False}
    assert balancer["timeout"] == "8760h"  # the default of 5 s would end the part's retries


def test_a_gateway_that_comes_back_gets_a_whole_trace_before_it_decides() -> None:
    retry = AGENT["exporters"]["loadbalancing"]["protocol"]["otlp"]["retry_on_failure"]
    assert seconds(retry["max_interval"]) * 1.5 < seconds(GATEWAY["processors"]["tail_sampling"][AFTER_ROOT])


AFTER_ROOT = "decision_wait_after_root_received"


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def test_exemplars_are_kept_before_any_other_policy() -> None:
    policies = GATEWAY["processors"]["tail_sampling"]["policies"]
    assert policies[0]["boolean_attribute"] == {"key": semconv.EXEMPLAR, "value": True}
    assert [policy["type"] for policy in policies][-1] == "probabilistic"


def test_policies_speak_of_the_catalogues_attributes() -> None:
    policies = GATEWAY["processors"]["tail_sampling"]["policies"]
    text = str([policy for policy in policies if policy["type"] == "ottl_condition"])
    assert set(re.findall(r'attributes\["([^"]+)"\]', text)) == {semconv.OUTCOME, semconv.TIME_TO_FIRST_TOKEN}
    assert f'!= "{semconv.Outcome.COMPLETED}"' in text
    assert policies[-2]["boolean_attribute"]["key"] == semconv.CANARY


def test_span_metrics_see_every_span_and_give_exemplars_only_where_nothing_is_sampled() -> None:
    for configuration, exemplars in ((SINGLE, True), (GATEWAY, False)):
        assert configuration["connectors"]["span_metrics"]["exemplars"]["enabled"] is exemplars
        feeding = [part for part in pipelines(configuration).values() if "span_metrics" in part["exporters"]]
        assert ["tail_sampling" in part["processors"] for part in feeding] == [False]


def test_what_tail_sampling_hands_on_waits_instead_of_being_dropped() -> None:
    assert GATEWAY["exporters"]["otlp_grpc/jaeger"]["sending_queue"]["block_on_overflow"] is True
    assert GATEWAY["processors"]["tail_sampling"]["block_on_overflow"] is True


# --- log files ------------------------------------------------------------------------------------

RECEIVERS = {name: part for name, part in AGENT["receivers"].items() if name.startswith("file_log")}


def test_offsets_are_on_disk_and_nothing_is_passed_over() -> None:
    assert len(RECEIVERS) == 3
    for name, receiver in RECEIVERS.items():
        assert receiver["storage"] == "file_storage", name
        assert receiver["start_at"] == "beginning", name
        assert receiver["retry_on_failure"]["max_elapsed_time"] == "0s", name


def test_the_parser_reads_the_catalogues_keys() -> None:
    for name in ("file_log/json", "file_log/containers"):
        (parser,) = [part for part in RECEIVERS[name]["operators"] if "trace" in part]
        (logger,) = [part for part in RECEIVERS[name]["operators"] if part["type"] == "scope_name_parser"]
        assert parser["timestamp"]["parse_from"] == f"attributes.{semconv.LOG_TIMESTAMP}"
        assert parser["severity"]["parse_from"] == f"attributes.{semconv.LOG_SEVERITY}"
        assert parser["body"] == f"attributes.{semconv.LOG_BODY}"
        assert {key: part["parse_from"] for key, part in parser["trace"].items()} == {
            key: f"attributes.{key}" for key in (semconv.LOG_TRACE_ID, semconv.LOG_SPAN_ID, semconv.LOG_TRACE_FLAGS)
        }
        assert logger["parse_from"] == f"attributes.{semconv.LOG_LOGGER}"
        moved = [part["from"] for part in RECEIVERS[name]["operators"] if part["type"] == "move"]
        assert moved == [f'attributes["{key}"]' for key in semconv.LOG_RESOURCE_KEYS]


def test_keys_that_became_fields_do_not_stay_attributes() -> None:
    statements = "\n".join(
        statement
        for group in AGENT["processors"]["transform/lines"]["log_statements"]
        for statement in group["statements"]
    )
    (pattern,) = re.findall(r'delete_matching_keys\(log\.attributes, "(.+)"\)', statements)
    assert [key for key in semconv.LOG_KEYS if not re.fullmatch(pattern, key)] == []
    assert not re.fullmatch(pattern, semconv.REQUEST_ID)
    assert f'set(log.event_name, log.attributes["{semconv.LOG_EVENT}"])' in statements
