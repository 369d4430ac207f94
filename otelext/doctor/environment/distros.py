"""Which distro and configurator win, what is lost where another one does, and the hooks that run around them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from otelext.doctor.environment.start import OURS, Choice, choice
from otelext.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelext.doctor.environment.installed import Installed, Plugin

_TAKE_OURS: Final = "export OTEL_PYTHON_DISTRO=otelext OTEL_PYTHON_CONFIGURATOR=otelext"
HOOKS: Final = ("opentelemetry_pre_instrument", "opentelemetry_post_instrument")
_LOST: Final = {
    "distro": (
        "otelext's defaults then come too late for exporters: where nothing else sets them, nothing is exported, or over"
        " another protocol; and an instrumentation that fails takes the later ones with it."
    ),
    "configurator": (
        "The other one's providers get only what can be added late: exporters retry in their own way and stop the"
        " service where they can't be had, and our views reach no instrument that has measured already. Where its"
        " tracer provider is not the SDK's or does not let our span processor go first, only otelext.force_flush() is"
        " complete."
    ),
}
_WITHOUT: Final = {
    "distro": "Without a distro nothing sets exporters, so that nothing is exported unless OTEL_*_EXPORTER say so.",
    "configurator": "Without a configurator no provider is made, so that nothing is recorded.",
}


def examine(environ: Mapping[str, str], here: Installed) -> Iterator[Finding]:
    """What `opentelemetry-instrument` takes that is not otelext's. `otelext.configure()` asks none of this."""
    if OURS not in here:
        yield Finding(
            "environment.distro",
            "error",
            "otelext is not installed where this Python looks, so that opentelemetry-instrument can't find it",
            "It is imported from a path, and its entry points come with its installation.",
            'python -m pip install "otelext[all]"',
        )
    else:
        for kind in _LOST:
            yield from _chosen(choice(kind, environ, here))
    yield from _hooks(here)


def described(environ: Mapping[str, str], here: Installed) -> str:
    """One line where nothing is wrong."""
    before, after = (", ".join(hook.name for hook in here.plugins(group)) or "none" for group in HOOKS)
    taken = choice("distro", environ, here).winner
    return f"opentelemetry-instrument takes otelext's distro and configurator ({taken and taken.package}); hooks" + (
        f" before and after instrumentation: {before}" if before == after else f" before: {before}; after: {after}"
    )


def _chosen(found: Choice) -> Iterator[Finding]:
    check = f"environment.{found.kind}"
    if found.winner is None:
        names = sorted({one.name for one in found.candidates})
        close = get_close_matches(found.wanted or "", names, 1)
        yield Finding(
            check,
            "error",
            f"{found.variable}={found.wanted} names no installed {found.kind}; installed: {', '.join(names) or 'none'}",
            ("Empty counts as a name here, and as one that nothing has. " if not found.wanted else "")
            + _WITHOUT[found.kind],
            f"unset {found.variable}" if not found.wanted else f"export {found.variable}={(*close, OURS)[0]}",
        )
    elif not found.winner.is_there:
        yield Finding(
            check,
            "error",
            f"opentelemetry-instrument takes the {found.kind} {_described(found.winner)}, which can't be loaded: there is"
            f" no module {found.winner.module}",
            "It then gives up: nothing is configured, and nothing is instrumented.",
            f"python -m pip uninstall {found.winner.package.name}",
        )
    elif not found.is_ours:
        named = found.wanted is not None
        how = f", as {found.variable}={found.wanted} says" if named else ", as it is found first"
        yield Finding(
            check,
            "warning",
            f"opentelemetry-instrument takes the {found.kind} {_described(found.winner)}{how}, not otelext's",
            _LOST[found.kind],
            _TAKE_OURS,
        )
    elif found.by_luck:
        others = [one for one in found.candidates if one.package.name != OURS]
        if others:
            yield Finding(
                check,
                "warning",
                f"opentelemetry-instrument takes otelext's {found.kind} before that of"
                f" {', '.join(str(one.package) for one in others)}, by the order of files in a folder",
                "On another machine, or after the next installation, the other one may come first.",
                _TAKE_OURS,
            )


def _described(plugin: Plugin) -> str:
    return f"{plugin.name!r} of {plugin.package} ({plugin.value})"


def _hooks(here: Installed) -> Iterator[Finding]:
    for group in HOOKS:
        for hook in here.plugins(group):
            if not hook.is_there:
                yield Finding(
                    "environment.hooks",
                    "error",
                    f"the hook {_described(hook)} can't be loaded: there is no module {hook.module}",
                    "A hook that raises leaves all later hooks and instrumentations out.",
                    f"python -m pip install --force-reinstall {hook.package.name}=={hook.package.version}",
                )
