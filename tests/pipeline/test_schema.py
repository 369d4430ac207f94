"""What components take, and what is called unknown."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from otelext.pipeline import schema
from otelext.pipeline.components_json import read

if TYPE_CHECKING:
    from otelext.pipeline.key import Key

ROOT = pathlib.Path(__file__).parents[2]
KINDS = ("receiver", "processor", "exporter", "connector", "extension")
SECTIONS = [f"{kind}s" for kind in KINDS]
CONFIGURATIONS = sorted(
    path
    for path in [*(ROOT / "collector").glob("*.yaml"), *(ROOT / "collector/access").glob("*.yaml")]
    if "\nservice:" in path.read_text()
)
DESCRIBED = sorted({(one.kind, one.type) for one in read().present.values() if one.keys})


def the(kind: str, type_: str) -> schema.Component:
    found = schema.component(kind, type_)
    assert found is not None
    return found


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("exporter", "otlp", "otlp_grpc"),
        ("exporter", "otlphttp", "otlp_http"),
        ("receiver", "filelog", "file_log"),
        ("receiver", "hostmetrics", "host_metrics"),
        ("receiver", "kubeletstats", "kubelet_stats"),
        ("connector", "spanmetrics", "span_metrics"),
    ],
)
def test_an_alias_leads_to_the_component_of_the_present_name(kind: str, old: str, new: str) -> None:
    assert schema.renamed(kind, old) == new
    assert the(kind, old) is the(kind, new)
    assert old in the(kind, new).aliases
    assert schema.renamed(kind, new) is None


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("exporter", "logging", "debug"),
        ("exporter", "loki", "otlp_http"),
        ("exporter", "jaeger", "otlp_grpc"),
        ("receiver", "opencensus", "otlp"),
    ],
)
def test_a_type_that_is_gone_is_no_component_and_has_a_new_name(kind: str, old: str, new: str) -> None:
    assert schema.component(kind, old) is None
    assert old not in schema.known_types(kind)
    assert schema.renamed(kind, old) == new


def test_what_is_gone_may_have_gone_to_another_kind_or_for_good() -> None:
    spanmetrics = schema.gone("processor", "spanmetrics")
    assert spanmetrics is not None
    assert spanmetrics.new == ("connector", "span_metrics")
    assert schema.renamed("processor", "spanmetrics") is None
    ballast = schema.gone("extension", "memory_ballast")
    assert ballast is not None
    assert ballast.new is None


def test_nothing_that_is_gone_is_there_and_what_replaces_it_is() -> None:
    for place, past in read().gone.items():
        assert place not in read().present
        assert past.new is None or schema.component(*past.new) is not None


def test_components_of_contrib_are_known_by_name_without_their_keys() -> None:
    redis = the("receiver", "redis")
    assert redis.keys is None
    assert not redis.has("endpoint")
    assert redis.signals == {"metrics"}
    assert schema.unknown_keys(redis, {"anything": 1}) == []


def test_close_names_are_present_ones() -> None:
    assert schema.close_names("exporter", "otlphtp")[0] == "otlp_http"
    assert schema.close_names("receiver", "file_logs")[0] == "file_log"
    assert schema.close_names("receiver", "qqqqqq") == []
    assert schema.closest("tracs", ["logs", "traces", "metrics"]) == "traces"
    assert schema.closest("x", ["logs"]) is None


# --- signals ----------------------------------------------------------------------------------------------------------


def test_signals_and_pairs_are_those_of_the_factories() -> None:
    assert the("processor", "tail_sampling").signals == {"traces"}
    assert the("exporter", "prometheus").signals == {"metrics"}
    assert the("receiver", "kafka").signals == {"traces", "metrics", "logs", "profiles"}
    assert the("extension", "file_storage").signals == frozenset()
    span_metrics = the("connector", "span_metrics")
    assert span_metrics.pairs == {("traces", "metrics")}
    assert span_metrics.signals == frozenset()
    assert span_metrics.stability == {"traces_to_metrics": "alpha"}
    assert ("logs", "logs") in the("connector", "routing").pairs


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "type_", "config", "unknown"),
    [
        ("exporter", "otlp_grpc", {"endpoint": "a:1", "tls": {"insecure": True}, "headers": {"a": "b"}}, []),
        ("exporter", "otlp_grpc", {"headers": [{"name": "a", "value": "b"}, {"name": "a", "vale": "b"}]}, [("headers", 1, "vale")]),
        ("exporter", "otlp_grpc", {"tls": {"insecur": True}, "sending_queue": {"storage": "a"}}, [("tls", "insecur")]),
        ("exporter", "otlp_grpc", {"tls::insecure": True, "sending_queue": {"batch::sizer": "items"}}, []),
        ("exporter", "otlp_grpc", {"tls::insecur": True}, [("tls::insecur",)]),
        ("exporter", "otlp_grpc", {"sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}, []),
        ("exporter", "otlp_grpc", None, []),
        ("exporter", "otlp_grpc", "${env:EXPORTER}", []),
        ("receiver", "otlp", {"protocols": {"grpc": None, "htttp": {"a": {"b": 1}}}}, [("protocols", "htttp")]),
        ("receiver", "host_metrics", {"scrapers": {"cpu": None, "dsk": {}}}, [("scrapers", "dsk")]),
        (
            "receiver",
            "host_metrics",
            {"scrapers": {"cpu": {"metrics": {"system.cpu.time": {"enable": True}}}}},
            [("scrapers", "cpu", "metrics", "system.cpu.time", "enable")],
        ),
        ("receiver", "prometheus", {"config": {"scrape_configs": [{"job_nam": "a", "kubernetes_sd_configs": [{"role": "pod"}]}]}}, [("config", "scrape_configs", 0, "job_nam")]),
        ("receiver", "kafka", {"brokers": ["a:1"], "topic": "spans"}, [("topic",)]),
        ("exporter", "elasticsearch", {"endpoint": "http://a:1", "logs_index": "a", "index": "b"}, [("index",)]),
        ("processor", "transform", {"log_statements": ["set(a, b)"]}, []),
        ("processor", "transform", {"log_statements": [{"statement": ["set(a, b)"]}]}, [("log_statements", 0, "statement")]),
        ("processor", "batch", {"timeot": "1s"}, [("timeot",)]),
        ("service", "service", {"telemetry": {"metrics": {"address": "0.0.0.0:8888"}}}, [("telemetry", "metrics", "address")]),
        ("service", "service", {"telemetry": {"resource": {"service.name": "a"}, "metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"host": "a"}}}}]}}}, []),
        ("service", "service", {"pipelines": {"traces/a": {"receivers": [], "exporter": []}}}, [("pipelines", "traces/a", "exporter")]),
    ],
)  # fmt: skip
def test_keys_that_the_collector_refuses_are_unknown(
    kind: str, type_: str, config: object, unknown: list[schema.Path]
) -> None:
    assert schema.unknown_keys(the(kind, type_), config) == unknown


def test_keys_that_the_collector_passes_over_are_ignored_not_unknown() -> None:
    operators = [{"type": "json_parser", "parse_form": "body"}, {"type": "of-tomorrow", "a": 1}, {"a": 1}, "b"]
    config = {"include": ["a"], "operators": operators}
    assert schema.unknown_keys(the("receiver", "file_log"), config) == []
    assert schema.ignored_keys(the("receiver", "file_log"), config) == [("operators", 0, "parse_form")]
    assert schema.ignored_keys(the("receiver", "host_metrics"), {"colection_interval": "1s"}) == [
        ("colection_interval",)
    ]


def test_the_name_that_was_meant_is_found_at_its_place() -> None:
    exporter, logs = the("exporter", "otlp_grpc"), the("receiver", "file_log")
    assert schema.close_key(exporter, ("tls", "insecur")) == "insecure"
    assert schema.close_key(exporter, ("tls", "qqqq")) is None
    assert schema.close_key(exporter, ("qqqq", "insecur")) is None
    config = {"operators": [{"type": "json_parser", "parse_form": "body"}]}
    assert schema.close_key(logs, ("operators", 0, "parse_form"), config) == "parse_from"
    assert schema.close_key(logs, ("operators", 0, "parse_form")) is None


def test_defaults_are_those_that_hold_once_the_section_is_given() -> None:
    def default(kind: str, type_: str, *path: str) -> object:
        key = the(kind, type_).at(path)
        assert key is not None
        return key.default

    assert default("receiver", "otlp", "protocols", "grpc", "endpoint") == "localhost:4317"
    assert default("exporter", "otlp_grpc", "retry_on_failure", "max_elapsed_time") == "5m0s"
    assert default("exporter", "otlp_grpc", "sending_queue", "enabled") is True
    assert default("exporter", "loadbalancing", "sending_queue", "enabled") is None
    assert the("exporter", "otlp_grpc").has("tls", "key_pem")
    assert not the("exporter", "otlp_grpc").has("tls", "keys")


def test_a_secret_is_told_from_a_string() -> None:
    key = the("extension", "bearertokenauth").at(["token"])
    assert key is not None
    assert key.kind == "secret"


def test_our_own_configurations_have_no_unknown_keys() -> None:
    assert {path.name for path in CONFIGURATIONS} >= {"agent.yaml", "gateway.yaml", "single.yaml", "bearer.yaml"}
    looked_at = 0
    for path in CONFIGURATIONS:
        config = YAML(typ="safe").load(path)
        assert schema.unknown_keys(the("service", "service"), config["service"]) == []
        assert schema.ignored_keys(the("service", "service"), config["service"]) == []
        for section in SECTIONS:
            for name, value in config.get(section, {}).items():
                component = the(section.removesuffix("s"), name.partition("/")[0])
                assert component.keys is not None
                assert schema.unknown_keys(component, value) == [], path
                assert schema.ignored_keys(component, value) == [], path
                looked_at += 1
    assert looked_at > 50


# --- for all configurations -------------------------------------------------------------------------------------------

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "any": st.sampled_from([1, "a", None, {"b": {"c": 1}}, [{"d": 2}]]),
    "bool": st.booleans(),
    "bytes": st.just("1MiB"),
    "duration": st.just("1s"),
    "float": st.floats(),
    "id": st.just("otlp/a"),
    "int": st.integers(),
    "secret": st.text(),
    "string": st.text(),
}


@st.composite
def configurations(draw: st.DrawFn, key: Key) -> Any:
    """A configuration of known keys alone."""
    forms = [form for form, given_ in _forms(key) if given_]
    form = draw(st.sampled_from(forms))
    if form == "scalar":
        return draw(SCALARS[str(key.kind)])
    if form == "null":
        return None
    if form == "list":
        assert key.items
        return draw(st.lists(configurations(key.items), max_size=2))
    if form == "variant":
        chosen = draw(st.sampled_from(sorted(key.variants)))
        return {**_names(draw, key.variants[chosen]), key.by: chosen}
    if form == "values":
        assert key.values
        return draw(st.dictionaries(st.sampled_from(["a", "b/c", "d.e"]), configurations(key.values), max_size=2))
    return _names(draw, key)


def _forms(key: Key) -> list[tuple[str, bool]]:
    return [
        ("null", True),
        ("scalar", key.kind is not None),
        ("list", key.items is not None),
        ("values", key.values is not None),
        ("names", bool(key.keys)),
        ("variant", bool(key.variants)),
    ]


def _names(draw: st.DrawFn, key: Key) -> dict[str, Any]:
    known = key.keys or {}
    names = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=4)) if known else []
    return {name: draw(configurations(known[name])) for name in names}


@given(st.data())
def test_a_configuration_of_known_keys_alone_is_never_reported(data: st.DataObject) -> None:
    component = the(*data.draw(st.sampled_from(DESCRIBED)))
    assert component.keys
    config = data.draw(configurations(component.keys))
    assert schema.unknown_keys(component, config) == []
    assert schema.ignored_keys(component, config) == []


@given(st.data())
def test_a_strange_key_is_reported_as_what_its_place_makes_of_it(data: st.DataObject) -> None:
    component = the(*data.draw(st.sampled_from(DESCRIBED)))
    assert component.keys
    config = data.draw(configurations(component.keys))
    places = list(_places(component.keys, config, ()))
    if not places:
        return
    key, inner, path = data.draw(st.sampled_from(places))
    inner["stranger"] = {"within": 1}
    stranger = [(*path, "stranger")]
    assert schema.unknown_keys(component, config) == (stranger if key.unknown == "refused" else [])
    assert schema.ignored_keys(component, config) == (stranger if key.unknown == "ignored" else [])


def _places(key: Key, config: Any, path: schema.Path) -> list[tuple[Key, dict[str, Any], schema.Path]]:
    """Every structure of a configuration, with its key and where it is."""
    form = key.form(config)
    if form is None or form.kind == "any":
        return []
    found = []
    if isinstance(config, dict) and form.keys is not None and form.values is None:
        found.append((form, config, path))
    steps = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for step, value in steps:
        child = form.child(step)
        if child:
            found += _places(child, value, (*path, step))
    return found
