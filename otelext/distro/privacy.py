"""What leaves this process, as the settings say: the rules, and redaction around every exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, metrics, trace

from otelext import _attach, semconv
from otelext.capture.failure import report_setup
from otelext.distro.config import variable
from otelext.processors.redaction import wrap
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.rules import PROCESS, Rules
from otelext.processors.redaction.samples import SAMPLES

if TYPE_CHECKING:
    from otelext.distro.config import Config


def prepare(config: Config) -> None:
    """Redact what the global providers export, and those that come later; a second call changes the rules."""
    PROCESS.rules = rules_of(config)
    SAMPLES.path = config.privacy_samples or None
    if _redact not in _attach.before_use:
        _attach.before_use.append(_redact)
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
    foreign = []
    for provider, redact in (
        (tracer_provider, wrap.wrap_tracer_provider),
        (meter_provider, wrap.wrap_meter_provider),
        (_logs.get_logger_provider(), wrap.wrap_logger_provider),
    ):
        kind = type(provider)
        # The API's own placeholders export nothing.
        if not redact(provider) and not kind.__module__.startswith("opentelemetry."):
            foreign.append(f"{kind.__module__}.{kind.__qualname__}")
    if foreign:
        report_setup(
            "otelext: what leaves through a provider that is not the SDK's can't be redacted: %s", ", ".join(foreign)
        )
