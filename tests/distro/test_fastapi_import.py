"""FastAPI's instrumentation gets our settings whoever imports it and however, and nothing else pays for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import importlib, importlib.util, os, sys, threading
os.environ.update(dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "none"))
import otelext

otelext.configure(instrument=False)
otelext.configure(instrument=False)
assert not {"wrapt", "asyncio"} & sys.modules.keys(), "only who imports the instrumentation loads these"
name = "opentelemetry.instrumentation.fastapi"
"""
AFTER = """
module = importlib.import_module(name)
assert module.FastAPIInstrumentor.instrument_app._otelext
assert not [finder for finder in sys.meta_path if name in getattr(finder, "waiting", ())]
"""
WAYS = {
    "import": "",
    "a look first": "assert importlib.util.find_spec(name)",
    "several threads": """
errors = []
barrier = threading.Barrier(4)
def find(how):
    barrier.wait()
    try:
        how(name)
    except BaseException as error:
        errors.append(error)
import opentelemetry.instrumentation
ways = (importlib.util.find_spec, importlib.util.find_spec, importlib.import_module, importlib.import_module)
threads = [threading.Thread(target=find, args=(how,)) for how in ways]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert not errors, errors
""",
    "a copy of the finders": """
import opentelemetry.instrumentation as parent
saved = list(sys.meta_path)
for _ in range(2):
    assert any(finder.find_spec(name, parent.__path__) for finder in saved)
""",
    "wrapt's hook": """
import wrapt
imported = []
wrapt.register_post_import_hook(imported.append, name)
importlib.import_module(name)
assert len(imported) == 1
""",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_the_settings_come_with_the_instrumentation(way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + way + AFTER], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
