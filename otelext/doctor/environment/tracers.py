"""What else traces the service: agents that start before it, and packages that trace calls of language models."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelext.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelext.doctor.environment.installed import Installed

CHECK: Final = "environment.double"
_STARTS_FIRST: Final = "sitecustomize.py"
_AGENTS: Final = {
    re.compile(r"/ddtrace/(\w+/)?bootstrap$"): "ddtrace",
    re.compile(r"/newrelic/bootstrap$"): "newrelic",
    re.compile(r"/elasticapm/instrumentation/wrapper$"): "elastic-apm",
    re.compile(r"/openlit/cli/bootstrap$"): "openlit",
}
_OPENTELEMETRYS: Final = re.compile(r"/opentelemetry/instrumentation/auto_instrumentation$")


@dataclass(frozen=True)
class Tracer:
    """A package that traces calls of language models where the service's code starts it.

    Attributes:
        package: Its name.
        variables: Which are set for it alone, so that somebody means to use it.
        off: The setting that turns it off.
    """

    package: str
    variables: tuple[str, ...] = ()
    off: str | None = None


_TRACERS: Final = (
    Tracer("traceloop-sdk", ("TRACELOOP_API_KEY", "TRACELOOP_BASE_URL"), "export TRACELOOP_TELEMETRY=false"),
    Tracer("langfuse", ("LANGFUSE_SECRET_KEY", "LANGFUSE_PUBLIC_KEY"), "export LANGFUSE_TRACING_ENABLED=false"),
    Tracer("logfire", ("LOGFIRE_TOKEN",), "export LOGFIRE_SEND_TO_LOGFIRE=false"),
    Tracer("langsmith", ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"), "export LANGSMITH_TRACING=false"),
    Tracer("openlit"),
    Tracer("arize-phoenix-otel", ("PHOENIX_COLLECTOR_ENDPOINT", "PHOENIX_API_KEY")),
    Tracer("mlflow"),
    Tracer("mlflow-skinny"),
    Tracer("mlflow-tracing"),
    Tracer("agentops", ("AGENTOPS_API_KEY",)),
    Tracer("weave", ("WANDB_API_KEY",), "export WEAVE_DISABLED=true"),
    Tracer("sentry-sdk", ("SENTRY_DSN",), "export SENTRY_TRACES_SAMPLE_RATE=0"),
    Tracer("ddtrace", ("DD_LLMOBS_ENABLED", "DD_TRACE_OTEL_ENABLED"), "export DD_TRACE_ENABLED=false"),
)
_SAYS_NO: Final = frozenset({"", "0", "false", "no", "off"})


def examine(environ: Mapping[str, str], here: Installed) -> Iterator[Finding]:
    """A finding for each other tracer that starts by itself, or that the environment is set up for."""
    yield from _agents(environ)
    for tracer in _TRACERS:
        package = here.get(tracer.package)
        set_for_it = next((name for name in tracer.variables if environ.get(name, "").lower() not in _SAYS_NO), None)
        if package is not None and set_for_it is not None:
            yield Finding(
                CHECK,
                "warning",
                f"{package} is installed and {set_for_it} is set: it traces calls of language models too",
                "Each call makes two spans where the service starts it. otelext counts one inference once, but what this"
                " one records, prompts among it, leaves by its own rules.",
                tracer.off or f"python -m pip uninstall {package.name}",
            )


def idle(here: Installed) -> list[str]:
    """Tracers that are installed and that only the service's code can start."""
    return [str(package) for tracer in _TRACERS if (package := here.get(tracer.package)) is not None]


def _agents(environ: Mapping[str, str]) -> Iterator[Finding]:
    folders = [folder for folder in environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    starters = [folder for folder in folders if (Path(folder) / _STARTS_FIRST).is_file()]
    for folder in starters:
        plain = Path(folder).as_posix().rstrip("/")
        if _OPENTELEMETRYS.search(plain):
            continue
        agent = next((name for pattern, name in _AGENTS.items() if pattern.search(plain)), None)
        if agent is not None:
            yield Finding(
                CHECK,
                "warning",
                f"the agent of {agent} is on PYTHONPATH ({folder}) and instruments the same libraries",
                "Each request makes two spans, by each tracer one, and both wrap the same functions.",
                f"start the service without {agent}'s command",
            )
        elif folder == starters[0] and len(starters) > 1:
            yield Finding(
                "environment.sitecustomize",
                "warning",
                f"{Path(folder) / _STARTS_FIRST} is found before others, {', '.join(starters[1:])} among them",
                "Python runs the first alone, and opentelemetry-instrument starts by one.",
                "take that folder from PYTHONPATH",
            )
