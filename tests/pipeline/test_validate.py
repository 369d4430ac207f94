"""Each fault that is looked for, made in a configuration that has none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.pipeline.validate import RULES, load, validate
from otelext.pipeline.yaml_tree import UnreadableError
from tests.compose.composition import ROOT
from tests.pipeline.faults import CLEAN, FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from otelext.pipeline.finding import Finding

    Check: TypeAlias = Callable[..., list[Finding]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Findings of a text, without those that are named."""

    def check(text: str, *overlays: str) -> list[Finding]:
        file = tmp_path / "config.yaml"
        file.write_text(text)
        paths = []
        for number, overlay in enumerate(overlays):
            path = tmp_path / f"overlay{number}.yaml"
            path.write_text(overlay)
            paths.append(str(path))
        return validate([load(str(file), paths)])

    return check


def test_what_has_no_fault_has_no_finding(check: Check) -> None:
    assert check(CLEAN) == []


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "instead"), FAULTS, ids=[f"{f[2]}-{n}" for n, f in enumerate(FAULTS)]
)
def test_a_fault_is_found_at_its_line(check: Check, old: str, new: str, rule: str, line: str, instead: str) -> None:
    assert CLEAN.count(old) >= 1
    text = CLEAN.replace(old, new, 1)
    found = [one for one in check(text) if one.rule.id == rule]
    assert found, f"only {[one.rule.id for one in check(text)]}"
    lines = text.splitlines()
    assert any(lines[one.place.line - 1].startswith(line) and instead in one.instead for one in found), found


def test_each_rule_has_a_fault_here() -> None:
    shown = {fault[2] for fault in FAULTS} | {"not-sharded-by-trace"}
    assert {rule.id for rule in RULES} == shown


@pytest.mark.parametrize("name", ["single.yaml", "agent.yaml", "gateway.yaml"])
def test_our_own_have_no_fault(name: str) -> None:
    assert validate([load(str(ROOT / "collector" / name))]) == []


@pytest.mark.parametrize("over", ["bearer.yaml", "mtls.yaml"])
@pytest.mark.parametrize("name", ["single.yaml", "agent.yaml", "gateway.yaml"])
def test_our_own_have_none_with_access(name: str, over: str) -> None:
    assert validate([load(str(ROOT / "collector" / name), [str(ROOT / "collector" / "access" / over)])]) == []


@pytest.mark.parametrize("names", [("agent.yaml", "gateway.yaml"), ("agent.yaml", "gateway.yaml", "single.yaml")])
def test_our_tiers_fit_together(names: tuple[str, ...]) -> None:
    assert validate([load(str(ROOT / "collector" / name)) for name in names]) == []


def test_asking_for_credentials_may_be_open_to_all(check: Check) -> None:
    overlay = "extensions:\n  bearertokenauth: {filename: /run/tokens}\nreceivers: {otlp: {protocols: {grpc: {endpoint: '0.0.0.0:4317', auth: {authenticator: bearertokenauth}}}}}\nservice: {extensions: [file_storage, bearertokenauth]}\n"
    assert check(CLEAN, overlay) == []


def test_a_tier_that_spreads_traces_is_told_apart(tmp_path: Path) -> None:
    gateway = tmp_path / "gateway.yaml"
    gateway.write_text(CLEAN.replace("127.0.0.1", "${env:POD_IP}"))
    agent = tmp_path / "agent.yaml"
    agent.write_text(
        CLEAN.replace("jaeger:4317", "gateways:4317")
        .replace(", tail_sampling]", "]")
        .replace("  tail_sampling:\n    policies: [{name: all, type: always_sample}]\n", "")
    )
    found = validate([load(str(agent)), load(str(gateway))])
    assert [(one.rule.id, one.place.file) for one in found] == [("not-sharded-by-trace", str(agent))]
    agent.write_text(
        agent.read_text()
        .replace("otlp_grpc/jaeger", "loadbalancing")
        .replace(
            "    endpoint: gateways:4317\n",
            "    routing_key: service\n    protocol: {otlp: {}}\n    resolver: {dns: {hostname: gateways}}\n",
        )
    )
    assert [one.instead for one in validate([load(str(agent)), load(str(gateway))])] == ["routing_key: traceID"]
    agent.write_text(agent.read_text().replace("routing_key: service", "routing_key: traceID"))
    assert validate([load(str(agent)), load(str(gateway))]) == []
    exporter = CLEAN[CLEAN.index("  otlp_grpc/jaeger") : CLEAN.index("  otlp_http/prom")]
    both = agent.read_text().replace("  loadbalancing:\n", exporter.replace("jaeger", "tempo") + "  loadbalancing:\n")
    agent.write_text(both.replace("exporters: [loadbalancing]", "exporters: [loadbalancing, otlp_grpc/tempo]"))
    assert validate([load(str(agent)), load(str(gateway))]) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("receivers: [", "1"),
        ("- a\n- b\n", "a configuration is a mapping"),
        ("receivers:\n  otlp:\n  otlp:\n", ":3: the key otlp is there twice"),
        ("receivers: &a [*a]\n", "an alias or a variable holds itself"),
        ("", "a configuration is a mapping"),
        ("a: \xff\xfe", "UTF-8"),
    ],
)
def test_what_is_no_configuration_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableError, match=str(file)) as caught:
        load(str(file))
    assert said in str(caught.value)


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(UnreadableError, match="values"):
        load(str(file))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"nothing\.yaml: cannot be read: No such file"):
        load(str(tmp_path / "nothing.yaml"))


def test_variables_count_only_where_they_are_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CLEAN.replace("127.0.0.1:4317", "${env:HOST:-127.0.0.1}:${PORT:-4317}"))
    assert validate([load(str(file))]) == []
    found = validate([load(str(file), environ={"HOST": "0.0.0.0"})])  # what is looked for
    assert [one.rule.id for one in found] == ["open-to-all"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "receivers",
                        "processors",
                        "exporters",
                        "connectors",
                        "extensions",
                        "service",
                        "pipelines",
                        "otlp",
                        "protocols",
                        "grpc",
                        "endpoint",
                        "traces",
                        "sending_queue",
                        "telemetry",
                        "metrics",
                        "readers",
                        "pull",
                        "${env:A:-{b: c}}",
                    ]
                )
                | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=30,
    )
)
def test_any_yaml_gets_findings_or_is_unreadable_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    file = tmp_path_factory.mktemp("any") / "config.yaml"
    file.write_text(json.dumps(value))
    try:
        validate([load(str(file))])
    except UnreadableError as error:
        assert str(file) in str(error)  # noqa: PT017  # either outcome is right
