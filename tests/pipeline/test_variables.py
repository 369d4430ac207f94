"""Which variables somebody has to set before a Collector starts."""

from __future__ import annotations

import pathlib
import re

import pytest

from otelext.pipeline.options import Options
from otelext.pipeline.render import render
from otelext.pipeline.variables import PREFIX, Variable, variables
from tests.pipeline.choices import every, pairwise

LIST = pathlib.Path("/srv/allowed_attributes.yaml")


def must(options: Options, place: pathlib.Path = LIST) -> dict[str, str | None]:
    found = variables(options, render(options), place)
    return {one.name.removeprefix(PREFIX): one.value or one.default for one in found if one.must_be_set}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options("single"), {"ALLOWED_ATTRIBUTES": str(LIST)}),
        (Options("gateway", sampling="none"), {"HOST": "127.0.0.1", "ALLOWED_ATTRIBUTES": str(LIST)}),
        (Options("agent"), {"GATEWAYS": "[gateway:4317]", "GATEWAY": "dns:///gateway:4317"}),
        (Options("agent", kafka="producer"), {"KAFKA_BROKERS": "[kafka:9092]"}),
        (
            Options("agent", auth=frozenset({"bearer", "mtls"})),
            {
                "GATEWAYS": "[gateway:4317]",
                "GATEWAY": "dns:///gateway:4317",
                "TOKEN_FILE": None,
                "TLS": None,
                "GATEWAY_TOKEN_FILE": None,
                "GATEWAY_TLS": None,
            },
        ),
        (
            Options("single", "otlp", "otlp", "otlp"),
            {
                "TRACES_ENDPOINT": None,
                "METRICS_ENDPOINT": None,
                "LOGS_ENDPOINT": None,
                "ALLOWED_ATTRIBUTES": str(LIST),
            },
        ),
        (
            Options("gateway", "tempo", "mimir", "elasticsearch", kafka="consumer"),
            {
                "TRACES_ENDPOINT": "tempo:4317",
                "METRICS_ENDPOINT": "http://mimir:9009/otlp/v1/metrics",
                "LOGS_ENDPOINT": "http://elasticsearch:9200",
                "ALLOWED_ATTRIBUTES": str(LIST),
                "KAFKA_BROKERS": "[kafka:9092]",
            },
        ),
    ],
    ids=lambda value: value.command if isinstance(value, Options) else "",
)
def test_what_has_no_default_that_fits_must_be_set(options: Options, expected: dict[str, str | None]) -> None:
    assert must(options) == expected


def test_the_list_lies_where_the_default_is_or_its_place_must_be_said() -> None:
    assert must(Options("single"), pathlib.Path("/etc/otelcol/allowed_attributes.yaml")) == {}


@pytest.mark.parametrize("options", pairwise(every()), ids=lambda options: options.command)
def test_every_variable_of_a_configuration_is_known_with_its_default_and_meaning(options: Options) -> None:
    text = render(options)
    found = {one.name: one for one in variables(options, text, LIST)}
    assert set(found) == set(re.findall(rf"\{{env:({PREFIX}\w+)", text))
    assert all(one.meaning for one in found.values())
    for one in found.values():
        assert isinstance(one, Variable)
        shown = one.default if one.default is not None else f"{one.name} is not set"
        assert f"{{env:{one.name}:-{shown}}}" in text or f"{{env:{one.name}:-http://{shown}}}" in text
