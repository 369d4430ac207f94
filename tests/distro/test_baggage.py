"""Baggage read from headers is known as such, whatever server or consumer reads it; it goes on as it came."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os
os.environ.update(dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "none"))
import otelext
from otelext.distro.baggage import prepare
from otelext.distro.config import Config
from otelext.processors.redaction.counts import COUNTS
{before}
for _ in range(2):
    prepare(Config(baggage_keys=("tenant.id", "user.id")))
from opentelemetry import baggage, propagate
from opentelemetry.context import Context, attach
from otelext.capture.baggage import read
headers = {{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": "tenant.id=clinic-a"}}
for given in (None, Context(), baggage.set_baggage("user.id", "u-1", Context())):
    context = propagate.extract(headers, given)
    assert read(context) == ({{"user.id": "u-1"}} if given else {{}}), context
    outgoing = {{}}
    propagate.inject(outgoing, context)
    assert "tenant.id=clinic-a" in outgoing["baggage"] and outgoing["traceparent"] == headers["traceparent"], outgoing
    assert read(baggage.set_baggage("tenant.id", "clinic-b", context))["tenant.id"] == "clinic-b"
assert propagate.extract({{}}, given) == given
assert COUNTS.of("baggage") == 3
prepare(Config(baggage_keys=("tenant.id",), baggage_trust=True))
assert read(propagate.extract(headers)) == {{"tenant.id": "clinic-a"}}
"""


@pytest.mark.parametrize("before", ["", "import opentelemetry.propagate"], ids=["imported later", "loaded already"])
def test_extracted_baggage_is_from_outside(before: str) -> None:
    program = PROGRAM.format(before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


OTHER_HEADER = """
import os
os.environ.update(dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "none"))
import otelext
otelext.configure(instrument=False)
from opentelemetry import baggage, propagate
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from otelext.capture.baggage import read
class Theirs(TextMapPropagator):
    fields = set()
    def extract(self, carrier, context=None, getter=None):
        return baggage.set_baggage("request.id", carrier["theirs"], context)
    def inject(self, carrier, context=None, setter=None): pass
propagate.set_global_textmap(CompositePropagator([Theirs()]))
context = propagate.extract({"theirs": "0123456789abcdef"}, Context())
assert baggage.get_baggage("request.id", context) == "0123456789abcdef"
assert read(context) == {}, read(context)
"""


def test_baggage_of_another_header_is_from_outside_too() -> None:
    done = subprocess.run([sys.executable, "-c", OTHER_HEADER], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_providers_spans_get_it_and_the_settings_hold() -> None:
    program = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from otelext.capture.baggage import BAGGAGE
from otelext.distro.baggage import prepare
from otelext.distro.config import Config
from otelext.processors.baggage import BaggageSpanProcessor
provider = TracerProvider()
trace.set_tracer_provider(provider)
def ours():
    return [type(p) for p in provider._active_span_processor._span_processors]
prepare(Config(baggage_keys=()))
assert not ours() and not BAGGAGE.keys
for _ in range(2):
    prepare(Config(baggage_keys=tuple(f"key-{i}" for i in range(20)), baggage_trust=True))
assert ours() == [BaggageSpanProcessor]
assert len(BAGGAGE.keys) == 20 and BAGGAGE.trust
assert "opentelemetry.propagate" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "of 20 keys of baggage the first 16 are used" in done.stderr
    assert done.stderr.count("keys of baggage") == 1


def test_the_settings_name_tenants_on_metrics_and_baggage_that_is_trusted() -> None:
    program = """
import os
os.environ.update(dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "none"))
import otelext
from otelext import _attach
from otelext.capture.baggage import BAGGAGE
otelext.configure(instrument=False)
assert _attach.limits.tenant_in({"tenant.id": "clinic-a"}) is None
os.environ.update(OTELEXT_TENANTS="clinic-a", OTELEXT_METRIC_ATTRIBUTES="tenant.id", OTELEXT_BAGGAGE_TRUST="1")
otelext.configure(instrument=False)
assert BAGGAGE.trust
admitted = [_attach.limits.admit("tenant.id", tenant) for tenant in ("clinic-b", "clinic-a")]
assert admitted == ["other", "clinic-a"], admitted
assert _attach.limits.tenant_in({"tenant.id": "clinic-a"}) == "clinic-a"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
