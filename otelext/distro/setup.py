"""The hooks around instrumentation and `configure()`: the same steps, each taken once, none ever raising."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs, metrics

from otelext import _attach, semconv
from otelext.capture.binding import current_binding
from otelext.capture.failure import report, report_setup
from otelext.distro import (
    baggage,
    exemplars,
    fastapi,
    log_lines,
    privacy,
    processes,
    quiet,
    request_log,
    sigterm,
    views,
)
from otelext.distro.awaited import when_imported
from otelext.distro.config import Config, read
from otelext.distro.configurator import LOGS, METRICS, OtelextConfigurator, missing
from otelext.distro.gpus import GPUS
from otelext.distro.leaving import LEAVING
from otelext.distro.variables import set_defaults

if TYPE_CHECKING:
    from collections.abc import Callable


class _Setup:
    """What was done already in this process.

    Attributes:
        config: The settings that hold.
        instrumented: Whether the instrumentations were loaded.
    """

    def __init__(self) -> None:
        self.config: Config | None = None
        self.instrumented = False


_SETUP: Final = _Setup()


def pre_instrument() -> None:
    """Add to the global providers, whoever made them, what can be added late. Never raises."""
    if processes.is_bookkeeping() or processes.is_disabled():
        return
    _SETUP.instrumented = True
    if _SETUP.config is None:
        _guarded(lambda: setattr(_SETUP, "config", read()))
    _guarded(set_defaults)
    _complete(_SETUP.config or Config())


def post_instrument() -> None:
    """Finish what needs the instrumentations in place. Never raises."""
    if processes.is_bookkeeping() or processes.is_disabled():
        return
    _guarded(log_lines.settle)
    if "celery" in sys.modules:
        _guarded(_settle_celery)


def configure(**overrides: Any) -> None:
    """Configure OpenTelemetry and otelext in code, as `opentelemetry-instrument` does without.

    Call it before the service's libraries are imported, so that instrumentations find them untouched. Providers
    that are there already stay, and get what can be added late; a second call adds what is missing.

    Args:
        overrides: Fields of `otelext.distro.config.Config`; they go before the environment.

    Raises:
        TypeError: An override is no such field or has the wrong type.
        ValueError: An override is out of range.
    """
    config = read(**overrides)
    _SETUP.config = config
    if processes.is_disabled():
        return
    set_defaults()
    OtelextConfigurator().configure()  # type: ignore[no-untyped-call]  # the SDK's
    _complete(config)
    if config.instrument and not _SETUP.instrumented:
        _guarded(_instrument)
    _guarded(log_lines.settle)
    if "celery" in sys.modules:
        _guarded(_settle_celery)


def _instrument() -> None:
    from opentelemetry.instrumentation.auto_instrumentation._load import (  # noqa: PLC0415  # what the command runs
        _load_instrumentors,
    )

    from otelext.distro.distro import OtelextDistro  # noqa: PLC0415  # only where instrumentations are loaded

    _load_instrumentors(OtelextDistro())  # type: ignore[no-untyped-call]


def _complete(config: Config) -> None:
    for step in (
        quiet.quieten,
        _keep_contexts,
        lambda: privacy.prepare(config),
        lambda: baggage.prepare(config),
        lambda: log_lines.prepare(config),
        privacy.warn_of_what_is_open,
        lambda: _adopt(config),
        lambda: exemplars.prepare(config.exemplar_ratio),
        lambda: LEAVING.prepare(config.shutdown_timeout),
        lambda: _prepare_sigterm(config),
        fastapi.prepare,
        lambda: when_imported("celery.signals", _prepare_celery),
        lambda: GPUS.prepare(config),
        processes.warn_of_shared_instance_id,
    ):
        _guarded(step)


def _prepare_celery(_: object) -> None:
    from otelext.distro import celery  # noqa: PLC0415  # only where there are tasks

    celery.prepare()


def _settle_celery() -> None:
    from otelext.distro import celery  # noqa: PLC0415  # only where there are tasks

    celery.settle()


def _keep_contexts() -> None:
    # What nobody has loaded or named is the API's own propagator, and loading it costs a start for nothing.
    if "opentelemetry.propagate" in sys.modules or "OTEL_PROPAGATORS" in os.environ:
        from otelext.distro import propagation  # noqa: PLC0415

        propagation.keep_contexts()


def _prepare_sigterm(config: Config) -> None:
    if config.sigterm:
        sigterm.GRACE_PERIOD.prepare(config.grace_period, last_flush=config.shutdown_timeout)
        sigterm.handle()
    else:
        sigterm.leave_alone()


def _adopt(config: Config) -> None:
    absent = missing()
    foreign = []
    for signal, provider, add, what in (
        (METRICS, metrics.get_meter_provider(), views.add_views, "bounded attributes"),
        (LOGS, _logs.get_logger_provider(), request_log.put_first, "the request's id on log records"),
    ):
        if signal not in absent and not add(provider):
            foreign.append(f"{type(provider).__module__}.{type(provider).__qualname__}: {what}")
    if foreign:
        report_setup("otelext: what can't be added to a provider that is not the SDK's: %s", "; ".join(foreign))
    _attach.limits.declare(semconv.REQUEST_MODEL, config.models)
    _attach.limits.declare(semconv.TENANT_ID, config.tenants)
    _attach.limits.asked = frozenset(config.metric_attributes)
    _attach.worker.capacity = config.queue_size
    # Joins the worker and our span processor now, so that what comes before the first inference is bounded too.
    current_binding()


def _guarded(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception:  # noqa: BLE001  # a hook that raises leaves everything after it uninstrumented
        report("otelext could not finish its set-up", exc_info=True)
