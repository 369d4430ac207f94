"""Which choices go together, and what is said of those that don't."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.cli.collector.render import command
from otelext.pipeline.options import OptionError, Options
from tests.pipeline.choices import every, pairwise

BOTH = frozenset({"bearer", "mtls"})


@pytest.mark.parametrize(
    ("choices", "option", "why"),
    [
        ({"tier": "agent", "traces": "jaeger"}, "--traces", "it sends to gateways, which know the backends"),
        ({"tier": "agent", "metrics": "prometheus"}, "--metrics", "it sends to gateways, which know the backends"),
        ({"tier": "agent", "logs": "loki"}, "--logs", "it sends to gateways, which know the backends"),
        ({"tier": "agent", "sampling": "none"}, "--sampling", "gateways decide, as they see all of a trace"),
        ({"tier": "agent", "kafka": "consumer"}, "--kafka consumer", "agent takes --kafka producer"),
        ({"tier": "gateway", "kafka": "producer"}, "--kafka producer", "gateway takes --kafka consumer"),
        ({"tier": "single", "kafka": "producer"}, "--kafka producer", "single takes --kafka consumer"),
        ({"tier": "gateway", "kafka": "consumer", "auth": BOTH}, "--auth", "no OTLP receiver is left"),
        ({"tier": "double"}, "the tier", "is one of single, agent, gateway; not double"),
        ({"traces": "zipkin"}, "--traces", "is one of jaeger, tempo, otlp; not zipkin"),
        ({"auth": frozenset({"basic"})}, "--auth", "is one of bearer, mtls; not basic"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_go_together_is_refused_by_name(choices: dict[str, object], option: str, why: str) -> None:
    with pytest.raises(OptionError) as refused:
        Options(**choices)  # type: ignore[arg-type]
    assert refused.value.option == option
    assert str(refused.value).startswith(option)
    assert why in str(refused.value)


@given(st.sampled_from(every()))
def test_the_command_that_a_file_names_makes_the_same_choice(options: Options) -> None:
    words = shlex.split(options.command)[3:]
    context = command.make_context("render", list(words))
    chosen = {name: value for name, value in context.params.items() if name not in {"out", "diff", "force"}}
    assert Options(**{**chosen, "auth": frozenset(chosen["auth"])}) == options


def test_a_choice_that_is_the_default_is_the_same_as_none() -> None:
    assert Options("gateway", "jaeger", "prometheus", "loki", "tail") == Options("gateway")
    assert Options("single", sampling="none").is_default
    assert not Options("gateway", sampling="none").is_default
    assert Options("gateway", sampling="none").command == "otelext collector render gateway --sampling none"


def test_few_choices_have_each_pair_of_values() -> None:
    chosen = pairwise(every())
    assert len(chosen) < 40
    for one in every():
        values = [("tier", one.tier), ("traces", one.traces), ("metrics", one.metrics), ("auth", one.auth)]
        for first in values:
            for second in values:
                assert any(
                    getattr(option, first[0]) == first[1] and getattr(option, second[0]) == second[1]
                    for option in chosen
                )
