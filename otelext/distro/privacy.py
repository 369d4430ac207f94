"""What leaves this process, as the settings say: the rules, and redaction around every exporter."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import _internal as logs_api  # no public way to hear of a provider
from opentelemetry.metrics import _internal as metrics_api

from otelext import _attach, semconv
from otelext.capture.failure import report, report_setup
from otelext.distro.config import variable
from otelext.processors.redaction import wrap
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.rules import PROCESS, Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.distro.config import Config

# The API's own stand-ins for what is not set, which export nothing.
_PLACEHOLDERS: Final = ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")


def prepare(config: Config) -> None:
    """Redact what the global providers export, and those that come later; a second call changes the rules."""
    PROCESS.rules = rules_of(config)
    PROCESS.samples = config.privacy_samples or None
    if _redact not in _attach.before_use:
        _attach.before_use.append(_redact)
        _watch()
        _attach.observe({semconv.REDACTED_TOTAL.name: COUNTS.read})
    _redact(trace.get_tracer_provider(), metrics.get_meter_provider())


def warn_of_what_is_open() -> None:
    """Say what leaves besides the allow-list, once the log handlers are there to take it."""
    for opened in sorted(PROCESS.rules.capture):
        # One for each: the limit is by message.
        report_setup(f"otelext: {variable('capture')} opens {opened}: {semconv.CAPTURES[opened]} leave this process")


def rules_of(config: Config) -> Rules:
    """The rules that settings make."""
    return Rules(
        allow=frozenset(config.allow_attributes),
        capture=frozenset(config.capture),
        tenants=frozenset(config.tenants),
        hash_key=config.hash_key.encode("utf-8", "surrogateescape"),
    )


def _redact(tracer_provider: Any, meter_provider: Any) -> None:
    _cover(tracer_provider, wrap.wrap_tracer_provider)
    _cover(meter_provider, wrap.wrap_meter_provider)
    _cover(_logs.get_logger_provider(), wrap.wrap_logger_provider)


def _cover(provider: Any, redact: Callable[[Any], bool]) -> None:
    """Redact what one provider exports. Never raises: the others still have to be covered."""
    try:
        holds = redact(provider)
    except Exception:  # noqa: BLE001  # a processor or reader of the user's
        holds = False
        report("otelext could not redact what a provider exports", exc_info=True)
    kind = type(provider)
    if holds or kind.__module__.startswith(_PLACEHOLDERS):
        return
    # One message for each: the limit is by message.
    report_setup(
        f"otelext: what leaves through a provider that is not the SDK's can't be redacted: {kind.__module__}."
        f"{kind.__qualname__}"
    )


def _watch() -> None:
    """Cover providers that become global later, before anything is recorded on them."""
    for module, name, redact in (
        (trace, "_set_tracer_provider", wrap.wrap_tracer_provider),
        (metrics_api, "_set_meter_provider", wrap.wrap_meter_provider),
        (logs_api, "_set_logger_provider", wrap.wrap_logger_provider),
    ):
        set_provider = getattr(module, name, None)
        if set_provider is not None and not hasattr(set_provider, "_otelext"):
            setattr(module, name, _covering(set_provider, redact))


def _covering(set_provider: Callable[..., Any], redact: Callable[[Any], bool]) -> Callable[..., Any]:
    @functools.wraps(set_provider)
    def covering(provider: Any, *args: Any, **kwargs: Any) -> Any:
        _cover(provider, redact)
        return set_provider(provider, *args, **kwargs)

    covering._otelext = True  # type: ignore[attr-defined]  # noqa: SLF001
    return covering
