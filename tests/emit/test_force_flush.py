"""`otelext.force_flush` keeps its time-out, whatever the exporters do, and a forked child's flush is not the parent's."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import otelext
from otelext.testing import capture


class Stuck(SpanExporter):
    def __init__(self) -> None:
        self.release = threading.Event()

    def export(self, spans: object) -> SpanExportResult:
        self.release.wait(30)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.release.set()


def test_exporters_that_take_long_do_not_hold_the_caller() -> None:
    stuck = Stuck()
    with capture(span_processors=[BatchSpanProcessor(stuck)]):
        with otelext.inference("chat"):
            pass
        began = time.monotonic()
        assert otelext.force_flush(0.3) is False
        assert time.monotonic() - began < 5
        stuck.release.set()
        assert otelext.force_flush(10) is True


def test_a_child_that_is_forked_while_the_parent_exports_can_export() -> None:
    assert hasattr(PeriodicExportingMetricReader, "force_flush")
    program = textwrap.dedent(
        """
        import os, threading, otelext
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader

        PARENT, exporting, release = os.getpid(), threading.Event(), threading.Event()

        class Exporter(MetricExporter):
            def export(self, data, timeout_millis=10000, **kwargs):
                if os.getpid() == PARENT:
                    exporting.set()
                    release.wait(30)
                return MetricExportResult.SUCCESS
            def shutdown(self, timeout_millis=0, **kwargs): pass
            def force_flush(self, timeout_millis=0): return True

        reader = PeriodicExportingMetricReader(Exporter(), export_interval_millis=1e9)
        provider = MeterProvider([reader], shutdown_on_exit=False)
        metrics.set_meter_provider(provider)
        with otelext.inference("chat"): pass
        otelext._attach.worker.force_flush(10)
        threading.Thread(target=provider.force_flush, daemon=True).start()
        assert exporting.wait(10)
        pid = os.fork()
        if pid == 0:
            with otelext.inference("chat"): pass
            flushing = threading.Thread(target=provider.force_flush, daemon=True)
            flushing.start()
            flushing.join(10)
            os._exit(1 if flushing.is_alive() else 0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        release.set()
        os._exit(status)
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], timeout=60, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
