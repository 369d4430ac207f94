"""What holds for every configuration that `otelext collector render` writes."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from otelext.pipeline.commented import above, dump, load
from otelext.pipeline.options import TIERS, Options
from otelext.pipeline.render import render
from otelext.pipeline.schema import component, ignored_keys, unknown_keys
from otelext.pipeline.variants.access import overlays
from tests.collector.configurations import FOLDER, KINDS, file_of, pipelines, read, used, with_defaults
from tests.pipeline.choices import every, pairwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ruamel.yaml.comments import CommentedMap

QUEUED = {"otlp_grpc", "otlp_http", "kafka", "loadbalancing"}


@cache
def text_of(options: Options) -> str:
    return render(options)


@cache
def parsed(options: Options) -> dict[str, Any]:
    """The configuration as the Collector sees it where no variable is set."""
    found: dict[str, Any] = with_defaults(YAML(typ="safe").load(text_of(options)))
    return found


CHECKS: list[Callable[[Options], None]] = []
PAIRS = pairwise(every())


def each_choice(check: Callable[[Options], None]) -> Callable[[Options], None]:
    """Made for each pair of values, and, with all others, for any choice."""
    CHECKS.append(check)
    return pytest.mark.parametrize("options", PAIRS, ids=lambda options: options.command)(check)


@pytest.mark.parametrize("tier", TIERS)
def test_without_a_choice_it_is_the_tier_s_own_file(tier: str) -> None:
    assert render(Options(tier)).encode() == (FOLDER / f"{tier}.yaml").read_bytes()


@each_choice
def test_nothing_is_declared_and_unused_or_used_and_undeclared(options: Options) -> None:
    for kind in KINDS:
        assert set(parsed(options).get(kind, {})) == used(parsed(options), kind), kind


@each_choice
def test_memory_limiter_stands_first_in_every_pipeline(options: Options) -> None:
    assert {pipeline["processors"][0] for pipeline in pipelines(parsed(options)).values()} == {"memory_limiter"}


@each_choice
def test_spans_are_counted_before_any_is_left_out(options: Options) -> None:
    configuration = parsed(options)
    if options.tier == "agent":
        assert "span_metrics" not in configuration.get("connectors", {})
        return
    sampled = options.sampling == "tail"
    traces = [one for name, one in pipelines(configuration).items() if name.startswith("traces")]
    (counting,) = (one for one in traces if "span_metrics" in one["exporters"])
    assert "tail_sampling" not in counting["processors"]
    assert [one["processors"][-1] for one in traces].count("tail_sampling") == sampled
    assert all(one["receivers"] == counting["receivers"] for one in traces)
    # A trace that is not kept is no aim for an exemplar.
    assert configuration["connectors"]["span_metrics"]["exemplars"]["enabled"] is not sampled
    assert len([one for one in traces if one["exporters"] != ["span_metrics"]]) == 1


@each_choice
def test_every_exporter_retries_without_end_from_a_queue_on_disk(options: Options) -> None:
    for name, exporter in parsed(options)["exporters"].items():
        if name == "prometheus":
            continue  # it is asked, and sends nothing
        assert exporter["sending_queue"]["storage"] == "file_storage", name
        assert exporter["sending_queue"]["sizer"] == "bytes", name
        if name == "elasticsearch":
            assert exporter["retry"]["max_retries"] > 10**6
            assert exporter["timeout"] == "8760h"
        else:
            assert name.partition("/")[0] in QUEUED
            assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s", name
        # What tail_sampling has taken must not be refused; everybody else is told, and sends it again.
        waits = options.sampling == "tail" and name.startswith("otlp_grpc/")
        assert exporter["sending_queue"]["block_on_overflow"] is waits, name


def test_sampling_changes_nothing_of_an_exporter_but_whether_its_queue_waits() -> None:
    for tier in ("single", "gateway"):
        choices = (Options(tier, sampling=choice) for choice in ("none", "tail"))
        all_kept, sampled = (deepcopy(parsed(options))["exporters"] for options in choices)
        for exporter in (*all_kept.values(), *sampled.values()):
            del exporter["sending_queue"]["block_on_overflow"]
        assert all_kept == sampled


@each_choice
def test_samples_leave_in_their_order(options: Options) -> None:
    configuration = parsed(options)
    for name, pipeline in pipelines(configuration).items():
        for exporter in pipeline["exporters"] if name.startswith("metrics") else ():
            queue = configuration["exporters"][exporter].get("sending_queue", {"num_consumers": 1})
            assert queue["num_consumers"] == 1, exporter


@each_choice
def test_nothing_listens_beyond_loopback_by_default(options: Options) -> None:
    configuration = parsed(options)
    listening = [
        configuration["receivers"],
        configuration["extensions"],
        configuration["exporters"].get("prometheus", {}),
    ]
    found = list(endpoints(listening))
    doors = 2 if "otlp" in configuration["receivers"] else 0
    assert len(found) == 2 + doors + (options.metrics == "prometheus-scrape")
    assert {endpoint.rpartition(":")[0] for endpoint in found} == {"127.0.0.1"}
    assert len(found) == len(set(found))


def endpoints(section: Any) -> Iterator[str]:
    if isinstance(section, list):
        for item in section:
            yield from endpoints(item)
    elif isinstance(section, dict):
        for key, value in section.items():
            if key == "endpoint":
                yield value
            yield from endpoints(value)


@each_choice
def test_each_door_asks_for_what_was_chosen(options: Options) -> None:
    configuration = parsed(options)
    if options.kafka == "consumer":
        assert "otlp" not in configuration["receivers"]
        return
    for protocol in configuration["receivers"]["otlp"]["protocols"].values():
        assert ("auth" in protocol) is ("bearer" in options.auth)
        assert ("client_ca_file" in protocol.get("tls", {})) is ("mtls" in options.auth)
    to_gateways = {"loadbalancing", "otlp_grpc/gateway"} & set(configuration["exporters"])
    for name in to_gateways:
        exporter = configuration["exporters"][name]
        exporter = exporter.get("protocol", {}).get("otlp", exporter)
        assert exporter["tls"]["insecure"] is ("mtls" not in options.auth)
        assert ("auth" in exporter) is (len(options.auth) == 2), "a token is sent over TLS alone"


@each_choice
def test_the_published_schema_knows_every_component_and_key(options: Options) -> None:
    configuration = parsed(options)
    for section in KINDS:
        for name, config in configuration.get(section, {}).items():
            known = component(section.removesuffix("s"), name.partition("/")[0])
            assert known, name
            assert unknown_keys(known, config) == [], name
            assert ignored_keys(known, config) == [], name
            for part, pipeline in pipelines(configuration).items():
                if section != "connectors" and name in pipeline.get(section, ()):
                    assert part.partition("/")[0] in known.signals, name


# --- comments ---------------------------------------------------------------------------------------------------------


def comments(options: Options) -> str:
    return "\n".join(line.partition("# ")[2] for line in text_of(options).splitlines() if "# " in line)


@each_choice
def test_what_stays_keeps_its_comment(options: Options) -> None:
    before, after = load(text_of(Options(options.tier))), load(text_of(options))
    for section, name in commented(before):
        if name in after.get(section, ()):
            assert any(above(after[section], name)), name
        else:
            assert above(before[section], name)[-1].strip("# ") not in text_of(options), name


def commented(root: CommentedMap) -> list[tuple[str, str]]:
    return [(section, name) for section in KINDS for name in root.get(section, ()) if any(above(root[section], name))]


@each_choice
def test_comments_name_no_backend_and_no_component_that_is_not_there(options: Options) -> None:
    said = comments(options)
    if options.tier != "agent":
        assert ("Jaeger" in said) is (options.traces == "jaeger")
        assert ("Prometheus" in said) is (options.metrics or "").startswith("prometheus")
        assert ("Loki" in said) is (options.logs == "loki")
        assert ("tail_sampling" in said) <= (options.sampling == "tail")
        assert ("Kafka" in said) is (options.kafka is not None)
        assert ("access/" in said) is options.is_default
    else:
        assert ("loadbalancing" in text_of(options)) is (options.kafka is None)


@each_choice
def test_comments_fit_their_lines_and_stand_above_something(options: Options) -> None:
    text = text_of(options)
    assert dump(load(text)) == text
    templates = "".join((FOLDER / f"{tier}.yaml").read_text() for tier in TIERS)
    fragments = "".join(path.read_text() for path in FOLDER.glob("a*/*.yaml"))
    for line in text.splitlines():
        if line.strip().startswith("#"):
            assert len(line) <= 120 or line in templates + fragments
    # Blank lines separate sections and groups; two together, or one at an end, would be a leftover.
    assert "\n\n\n" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


@settings(max_examples=40)
@given(st.sampled_from(every()))
def test_all_of_it_holds_for_any_choice(options: Options) -> None:
    assert len(CHECKS) == 11
    for check in CHECKS:
        check(options)


# --- the same by hand -------------------------------------------------------------------------------------------------


def by_hand(tier: str, *names: str) -> dict[str, Any]:
    """What the Collector makes of a tier's file and further ones, without what runs nowhere then."""
    merged: dict[str, Any] = read(tier)
    for name in names:
        merged = laid_over(merged, read(name))
    for kind in KINDS:
        merged[kind] = {name: merged[kind][name] for name in merged.get(kind, {}) if name in used(merged, kind)}
    return {key: value for key, value in merged.items() if value}


def laid_over(below: Any, on_top: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(on_top, dict):
        return on_top
    return {**below, **{key: laid_over(below.get(key), value) for key, value in on_top.items()}}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (Options("single", metrics="prometheus-scrape"), ["prometheus_scrape"]),
        (Options("single", logs="elasticsearch"), ["elasticsearch"]),
        (Options("gateway", logs="elasticsearch"), ["elasticsearch"]),
        (Options("agent", kafka="producer"), ["kafka_producer"]),
        (Options("gateway", kafka="consumer"), ["kafka_consumer"]),
        *(
            (options, list(overlays(options)))
            for options in every()
            if options.auth and options == Options(options.tier, auth=options.auth)
        ),
    ],
    ids=lambda value: value.command if isinstance(value, Options) else "",
)
def test_files_laid_over_by_hand_make_the_same(options: Options, names: list[str]) -> None:
    expected = by_hand(options.tier, *names)
    found = YAML(typ="safe").load(render(options))
    # A list is replaced by hand, and each file that brings an extension has to name all.
    extensions = found["service"].pop("extensions"), expected["service"].pop("extensions")
    assert found == {**expected, "extensions": found["extensions"]}
    assert set(extensions[1]) <= set(extensions[0]) == set(found["extensions"])


def test_each_file_beside_the_tiers_is_some_choice_s() -> None:
    options = [option for option in every() if option.auth or option.kafka or option.logs == "elasticsearch"]
    laid = {file_of(name) for option in options for name in overlays(option)}
    assert laid == {str(path.relative_to(FOLDER)) for path in FOLDER.glob("access/*.yaml")}
    assert len(list(FOLDER.glob("alternatives/*.yaml"))) == 4


def test_every_variable_of_a_fragment_reaches_a_configuration() -> None:
    variable = re.compile(r"OTELEXT_COLLECTOR_\w+")
    named = {name for path in FOLDER.glob("a*/*.yaml") for name in variable.findall(path.read_text())}
    rendered = [
        Options("agent", kafka="producer", auth=frozenset({"bearer"})),
        Options("agent", auth=frozenset({"bearer", "mtls"})),
        Options("gateway", kafka="consumer", logs="elasticsearch", metrics="prometheus-scrape"),
    ]
    assert named <= {name for options in rendered for name in variable.findall(render(options))}
