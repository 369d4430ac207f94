"""Start: what it costs to import and configure otelext, against importing and configuring the SDK alone (1x).

Every start is a fresh process that ends as soon as it is configured, before anything is exported. In seconds: `CPU`, of
user and system, and `wall`, from the process's start to its end, both with Python's own start. All have the same
`OTEL_*` variables, otelext's defaults: OTLP over HTTP for traces, metrics and logs. The SDK alone is set up by its own
configurator, as otelext sets it up; `the SDK by hand` makes the same providers and exporters itself.

What the libraries' instrumentations load dwarfs all that, so that otelext is compared without them, as it starts with
`configure(instrument=False)`; the row of `configure()` has what the default adds, those of the libraries that are
installed. Zero code, what `opentelemetry-instrument` does in the process that it starts, is compared with the same
instrumentations loaded by otelext and by the SDK alone; there 1x is the latter where `--instrumented` asks for these
two alone.

The target is that importing and configuring otelext, without instrumentations, takes 1.1x at most.

    python benchmarks/start.py [--rounds 15] [--repetitions 3] [--only NAME ...] [--json FILE] [--profile] [--instrumented]

`--profile` prints which modules only otelext loads, and what each takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rounds import Benchmark, main

from otelext.distro.variables import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rounds import Figures, Measure, Prepare

SDK = """
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
_OTelSDKConfigurator().configure()
"""
BY_HAND = """
from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
spans, records = TracerProvider(), LoggerProvider()
spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
records.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
trace.set_tracer_provider(spans)
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
_logs.set_logger_provider(records)
"""
IMPORT = "import otelext\n"
CONFIGURE = "import otelext\notelext.configure(instrument=False)\n"
CONFIGURE_ALL = "import otelext\notelext.configure()\n"
# The command finds otelext's hooks wherever it is installed. Here they are hidden, and as the SDK has no entry point for
# its configurator, that is called before.
SDK_INSTRUMENTED = f"""
from opentelemetry.instrumentation.auto_instrumentation import _load, initialize
found = _load.entry_points
_load.entry_points = lambda **asked: [one for one in found(**asked) if not one.value.startswith("otelext.")]
{SDK}
initialize(swallow_exceptions=False)
"""
INSTRUMENTED = """
from opentelemetry.instrumentation.auto_instrumentation import initialize
initialize(swallow_exceptions=False)
"""
# A start that failed would be a quick one.
CHECKED = """
from opentelemetry import _logs, metrics, trace
for provider in (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()):
    assert type(provider).__module__.startswith("opentelemetry.sdk."), provider
"""
EXIT = "\nimport os\nos._exit(0)\n"

ENVIRONMENT = {
    # Whatever the machine's own settings are, nothing is to leave, and nothing is compiled at each start.
    **{name: v for name, v in os.environ.items() if not name.startswith(("OTEL", "PYTHONDONTWRITEBYTECODE"))},
    **DEFAULTS,
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",  # nobody listens there
    "NO_PROXY": "127.0.0.1",
}


def starting(code: str) -> Prepare:
    """Fresh processes, one after the other, that run the code and end."""
    command = [sys.executable, "-c", code + EXIT]

    def measure(repetitions: int) -> Figures:
        cpu = wall = 0.0
        for _ in range(repetitions):
            begin = time.perf_counter()
            process = os.posix_spawn(sys.executable, command, ENVIRONMENT)
            _, status, used = os.wait4(process, 0)
            wall += time.perf_counter() - begin
            cpu += used.ru_utime + used.ru_stime
            if status:
                sys.exit(f"a start failed with status {os.waitstatus_to_exitcode(status)}; its output is above")
        return {"CPU": cpu / repetitions, "wall": wall / repetitions}

    def prepare() -> Measure:
        return measure

    return prepare


ALONE, ZERO_CODE_ALONE, ZERO_CODE = "the SDK alone", "zero code, the SDK alone", "zero code, otelext"
BARE_CONFIGURE = "import otelext, configure(instrument=False)"

BENCHMARK = Benchmark(
    __file__,
    {
        "Python alone": starting(""),
        ALONE: starting(SDK + CHECKED),
        "the same once more: the noise": starting(SDK + CHECKED),
        "the SDK by hand": starting(BY_HAND + CHECKED),
        "import otelext": starting(IMPORT),
        BARE_CONFIGURE: starting(CONFIGURE + CHECKED),
        "import otelext, configure()": starting(CONFIGURE_ALL + CHECKED),
        ZERO_CODE_ALONE: starting(SDK_INSTRUMENTED + CHECKED),
        ZERO_CODE: starting(INSTRUMENTED + CHECKED),
    },
    base=ALONE,
    repetitions=3,
)


def asked(benchmark: Benchmark) -> Benchmark:
    """The benchmark, or with `--instrumented` its last question alone; the option is taken off the command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--instrumented", action="store_true")
    options, sys.argv[1:] = parser.parse_known_args()
    if not options.instrumented:
        return benchmark
    pair = {name: benchmark.contenders[name] for name in (ZERO_CODE_ALONE, ZERO_CODE)}
    return replace(benchmark, contenders=pair, base=ZERO_CODE_ALONE)


@dataclass(frozen=True)
class Import:
    """A module that a start loaded.

    Attributes:
        microseconds: What it took itself, those left out that it imported.
        by: The module of ours that wanted it, directly or not; empty for none.
    """

    microseconds: int
    by: str


def is_ours(module: str) -> bool:
    """Whether a module is otelext's."""
    return module.partition(".")[0] == "otelext"


def imports(code: str) -> dict[str, Import]:
    """What `-X importtime` says of a start."""
    command = [sys.executable, "-X", "importtime", "-c", code + EXIT]
    told = subprocess.run(command, env=ENVIRONMENT, check=True, stderr=subprocess.PIPE, text=True).stderr  # noqa: S603  # our own code
    found: dict[str, Import] = {}
    inside: list[tuple[int, str]] = []
    for line in reversed(told.splitlines()):  # a module is told after those that it imported
        _, _, figures = line.partition("import time:")
        own, _, indented = figures.rpartition("|")
        own, _, _ = own.partition("|")
        if not own.strip().isdecimal():
            continue
        name = indented.strip()
        depth = len(indented) - len(indented.lstrip())
        while inside and inside[-1][0] >= depth:
            inside.pop()
        found[name] = Import(int(own), next((outer for _, outer in reversed(inside) if is_ours(outer)), ""))
        inside.append((depth, name))
    return found


def medians(runs: Iterable[Mapping[str, Import]]) -> dict[str, Import]:
    """Of several starts, each module's median."""
    runs = list(runs)
    return {
        name: replace(module, microseconds=round(statistics.median(run[name].microseconds for run in runs)))
        for name, module in runs[0].items()
        if all(name in run for run in runs)
    }


def profile(repetitions: int) -> None:
    """What only otelext loads, the longest first."""
    alone = medians(imports(SDK) for _ in range(repetitions))
    for title, code in (("import otelext", IMPORT), (BARE_CONFIGURE, CONFIGURE)):
        found = medians(imports(code) for _ in range(repetitions))
        ours = {name: module for name, module in found.items() if is_ours(name)}
        others = {name: module for name, module in found.items() if name not in {*ours, *alone}}
        for whose, modules in (("modules of ours", ours), ("others that the SDK alone does not load", others)):
            total = sum(module.microseconds for module in modules.values())
            print(f"== {title}: {len(modules)} {whose}, {total} µs")
            for name, module in sorted(modules.items(), key=lambda item: -item[1].microseconds):
                print(f"{module.microseconds:8} {name}" + (f", by {module.by}" if module.by else ""))
    print(f"The SDK alone loads {len(alone)} modules in {sum(m.microseconds for m in alone.values())} µs.")


if __name__ == "__main__":
    sys.exit(main(asked(BENCHMARK), __doc__, profile))
