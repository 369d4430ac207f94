"""Baggage read from headers is known as such, whatever server or consumer reads it; it goes on as it came."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os
os.environ.update(dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "none"))
import otelext
from otelext.distro import awaited, propagation
{before}
for _ in range(2):
    awaited.when_imported("opentelemetry.baggage.propagation", propagation.mark_baggage)
from opentelemetry import baggage, propagate
from opentelemetry.context import Context, attach
from otelext.capture.baggage import BAGGAGE, read
headers = {{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": "tenant.id=clinic-a"}}
for given in (None, Context(), baggage.set_baggage("user.id", "u-1", Context())):
    context = propagate.extract(headers, given)
    assert read(context) == ({{"user.id": "u-1"}} if given else {{}}), context
    outgoing = {{}}
    propagate.inject(outgoing, context)
    assert "tenant.id=clinic-a" in outgoing["baggage"] and outgoing["traceparent"] == headers["traceparent"], outgoing
    assert read(baggage.set_baggage("tenant.id", "clinic-b", context))["tenant.id"] == "clinic-b"
assert propagate.extract({{}}, given) == given
BAGGAGE.trust = True
assert read(propagate.extract(headers)) == {{"tenant.id": "clinic-a"}}
"""


@pytest.mark.parametrize("before", ["", "import opentelemetry.propagate"], ids=["imported later", "loaded already"])
def test_extracted_baggage_is_from_outside(before: str) -> None:
    program = PROGRAM.format(before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
