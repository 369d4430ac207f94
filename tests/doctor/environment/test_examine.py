"""The whole look: silent where all is fine, each thing once, and no secret in it."""

from __future__ import annotations

import json
import subprocess
import sys
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelext.doctor import environment
from otelext.doctor.environment import examine, gpu
from otelext.doctor.environment.gpu import Library
from otelext.doctor.environment.installed import installed
from otelext.doctor.environment.names import known
from otelext.doctor.finding import LEVELS, Finding
from tests.doctor.environment.looks import PATH, text

GROUPS = [
    "environment.variables",
    "environment.distro",
    "environment.versions",
    "environment.instrumentation",
    "environment.exporter",
    "environment.proxy",
    "environment.gpu",
]
HERE = installed()
KNOWN = sorted(known(HERE))
SECRET = "hunter2-3f9a8c1d7b"


def test_an_environment_in_order_is_one_line_a_group() -> None:
    found = examine(PATH)
    assert [one.check for one in found] == GROUPS
    assert {one.level for one in found} == {"ok"}
    assert all(one.cause is None and one.next_step is None for one in found)


def test_the_process_own_environment_is_what_is_looked_at_unless_told_otherwise(monkeypatch) -> None:
    monkeypatch.setenv("OTELEXT_QUEUE_SIZE", "many")
    assert "OTELEXT_QUEUE_SIZE=many" in text(examine())
    assert "OTELEXT_QUEUE_SIZE" not in text(examine(PATH))


def test_looking_imports_none_of_the_libraries_that_are_looked_at() -> None:
    program = (
        "import json, sys, otelext; assert not any(m.startswith('otelext.doctor') for m in sys.modules);"
        "from otelext.doctor.environment import examine; examine({'PATH': '/usr/bin'});"
        "print(json.dumps(sorted(m for m in ('grpc', 'fastapi', 'sqlalchemy', 'openai', 'duckdb', 'pynvml', 'requests',"
        "'opentelemetry.configuration') if m in sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], env=PATH, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == []


# What is installed stays the same over all examples, and the library is asked in a process of its own.
def quick(environ: dict[str, str]) -> list[Finding]:
    with (
        mock.patch.object(environment, "installed", return_value=HERE),
        mock.patch.object(gpu, "probe", return_value=Library(loads=False)),
    ):
        return examine(environ)


VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(
        [
            "otlp",
            "none",
            "grpc",
            "http/protobuf",
            "http/json",
            "true",
            "false",
            "1",
            "-1",
            "0",
            "nan",
            "http://localhost:4317",
            "https://[::1",
            "://",
            "localhost:4318",
            "http://a:b@c:99999",
            "always_off",
            "traceidratio",
            "''",
            '"x"',
            "${A}",
            "a=b",
            "/no/file",
            "delta",
        ]
    ),
)
NAMES = st.one_of(
    st.sampled_from(KNOWN),
    st.sampled_from(["http_proxy", "NO_PROXY", "PYTHONPATH", "REQUESTS_CA_BUNDLE", "OTEL_X", "OTELEXT_"]),
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_whatever_is_set_each_finding_is_whole_and_said_once(environ) -> None:
    found = quick({**PATH, **environ})
    assert len(found) == len(set(found))
    for one in found:
        assert one.check.startswith("environment.")
        assert one.level in LEVELS
        assert one.summary
        assert "\n" not in one.summary
        if one.level in {"warning", "error"}:
            assert one.cause is not None
            assert one.next_step


@st.composite
def places(draw: st.DrawFn) -> dict[str, str]:
    """A variable that holds a secret where one is held."""
    signal = draw(st.sampled_from(["", "TRACES_", "METRICS_", "LOGS_"]))
    quote = draw(st.sampled_from(["", '"', "'"]))
    name, value = draw(
        st.sampled_from(
            [
                (f"OTEL_EXPORTER_OTLP_{signal}HEADERS", f"authorization=Bearer%20{SECRET}"),
                (f"OTEL_EXPORTER_OTLP_{signal}HEADERS", f"authorization={SECRET}"),
                (f"OTEL_EXPORTER_OTLP_{signal}HEADERS", SECRET),
                (f"OTEL_EXPORTER_OTLP_{signal}HEADERS", f"a=b;{SECRET}"),
                (f"OTEL_EXPORTER_OTLP_{signal}HEADERS", f"a=b, {SECRET} ${{X}}"),
                (f"OTEL_EXPORTER_OTLP_{signal}HEADER", f"authorization={SECRET}"),
                (f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", f"https://user:{SECRET}@collector:4317"),
                (f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", f"user:{SECRET}@collector:4318"),
                (f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", f"https://collector:9090/?key={SECRET}"),
                (f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", f"https://collector/{SECRET}/v1/traces"),
                (f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", f"authorization=Bearer {SECRET}"),
                (f"OTEL_EXPORTER_OLTP_{signal}ENDPOINT", f"https://user:{SECRET}@collector:4317"),
                ("OTEL_RESOURCE_ATTRIBUTES", f"token={SECRET},{SECRET}"),
                ("http_proxy", f"http://user:{SECRET}@proxy:3128"),
                ("HTTPS_PROXY", f"http://{SECRET}@proxy:3128"),
                ("LANGFUSE_SECRET_KEY", SECRET),
                ("OTELEXT_API_KEY", SECRET),
            ]
        )
    )
    return {name: f"{quote}{value}{quote}"}


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(places(), st.sampled_from(["grpc", "http/protobuf", "http/json", ""]), st.sampled_from(["", "true", "false"]))
def test_no_secret_is_shown(place, protocol, insecure) -> None:
    more = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_INSECURE": insecure}
    found = quick({**PATH, **place, **{name: value for name, value in more.items() if value}})
    assert SECRET not in text(found)
