"""Instrumentations: those that skip themselves, those that are left out by name, and libraries that two instrument."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.dependencies import DependencyConflict, get_dist_dependency_conflicts
from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_DISABLED_INSTRUMENTATIONS
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from otelext.distro.config import Config, read, variable
from otelext.doctor.environment.start import OURS
from otelext.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelext.doctor.environment.installed import Installed, Package, Plugin

GROUP: Final = "opentelemetry_instrumentor"
_SKIPPED: Final = "environment.instrumentation"
_TWICE: Final = "environment.double"
_ALL: Final = "*"
# Two halves of one library each.
_HALVES: Final = (
    frozenset({"opentelemetry-instrumentation-aiohttp-client", "opentelemetry-instrumentation-aiohttp-server"}),
)


def examine(environ: Mapping[str, str], here: Installed) -> Iterator[Finding]:
    """What is not instrumented although a package for it is installed, and what is instrumented twice."""
    plugins = here.plugins(GROUP)
    left_out = {name.strip() for name in environ.get(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, "").split(",")} - {""}
    yield from _left_out(left_out, plugins)
    if _ALL in left_out:
        return
    yield from _not_by_configure(environ)
    running = []
    for plugin in plugins:
        if plugin.name in left_out:
            continue
        conflict = _conflict(plugin.package)
        if conflict is None:
            running.append(plugin)
        elif found := _found(conflict):
            yield _skips_itself(plugin, conflict, found)
    yield from _twice(running)


def _left_out(left_out: set[str], plugins: tuple[Plugin, ...]) -> Iterator[Finding]:
    names = sorted({plugin.name for plugin in plugins})
    if _ALL in left_out:
        yield Finding(
            "environment.off",
            "warning",
            f"{OTEL_PYTHON_DISABLED_INSTRUMENTATIONS}={_ALL} leaves all instrumentations out",
            "No library makes spans: no requests, no queries.",
            f"unset {OTEL_PYTHON_DISABLED_INSTRUMENTATIONS}",
        )
        return
    for name in sorted(left_out - set(names)):
        close = get_close_matches(name.lower(), names, 1)
        # A name of what is not installed is for another machine, unless it is nearly one of here.
        if close:
            yield Finding(
                _SKIPPED,
                "warning",
                f"{OTEL_PYTHON_DISABLED_INSTRUMENTATIONS} names {name!r}, which is no installed instrumentation; they are"
                f" {', '.join(names)}",
                "It is the name of the entry point, and nothing is left out by another.",
                f"write {close[0]} in {OTEL_PYTHON_DISABLED_INSTRUMENTATIONS}",
            )


def _not_by_configure(environ: Mapping[str, str]) -> Iterator[Finding]:
    name = variable("instrument")
    if environ.get(name, "").strip() and not _config(environ).instrument:
        yield Finding(
            "environment.off",
            "warning",
            f"{name}={environ[name].strip()}: otelext.configure() loads no instrumentations",
            "opentelemetry-instrument loads them all the same.",
            f"unset {name}",
        )


def _config(environ: Mapping[str, str]) -> Config:
    """That variable alone: a bad value of another one is no matter of this look."""
    name = variable("instrument")
    return read({name: environ[name]})


def _conflict(package: Package) -> DependencyConflict | None:
    try:
        return get_dist_dependency_conflicts(package.distribution)
    except (InvalidRequirement, AttributeError):
        return None


def _found(conflict: DependencyConflict) -> str:
    """The version that is there and doesn't fit, empty where nothing is there: then nothing is to be instrumented."""
    return conflict.found or ", ".join(conflict.found_any or ())


def _skips_itself(plugin: Plugin, conflict: DependencyConflict, found: str) -> Finding:
    wanted = [
        str(one).partition(";")[0].strip()
        for one in ([conflict.required] if conflict.required else conflict.required_any)
    ]
    library = found.split(maxsplit=1)[0]
    return Finding(
        _SKIPPED,
        "warning",
        f"{plugin.package} skips itself: it takes {' or '.join(wanted)}, and {found} is installed",
        f"{library} makes no spans, and one line in the service's log is all that says so.",
        f'python -m pip install --upgrade {plugin.package.name}, or python -m pip install "{wanted[0]}"',
    )


def _twice(running: list[Plugin]) -> Iterator[Finding]:
    by_library: dict[str, dict[str, Plugin]] = {}
    for plugin in running:
        for library in _libraries(plugin.package):
            by_library.setdefault(library, {})[plugin.package.name] = plugin
    said = set()
    for library, plugins in by_library.items():
        packages = frozenset(plugins)
        if len(packages) < 2 or packages in _HALVES or packages in said:  # noqa: PLR2004  # more than one
            continue
        said.add(packages)
        names = {plugin.name for plugin in plugins.values()}
        first = next(iter(plugins.values()))
        step = (
            f"export {OTEL_PYTHON_DISABLED_INSTRUMENTATIONS}={','.join(sorted(names - {first.name}))}"
            if len(names) > 1
            else " or ".join(f"python -m pip uninstall {name}" for name in sorted(packages))
        )
        yield Finding(
            _TWICE,
            "warning",
            f"{' and '.join(str(plugin.package) for plugin in plugins.values())} both instrument {library}",
            "Each call makes two spans, and counts twice where spans are counted.",
            step,
        )


def _libraries(package: Package) -> Iterator[str]:
    """What it instruments, by its own extras `instruments` and `instruments-any`."""
    if package.name == OURS:
        return
    for text in package.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            continue
        if any(marker.evaluate({"extra": extra}) for extra in ("instruments", "instruments-any")):
            yield canonicalize_name(requirement.name)
