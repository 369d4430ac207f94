"""One examination from end to end: looks, sends, searches, and says of each hop what is and why."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelext.doctor import clock
from otelext.doctor.backends.api import Api, UnansweredError
from otelext.doctor.backends.health import Health
from otelext.doctor.backends.loki import Loki
from otelext.doctor.backends.prometheus import Prometheus
from otelext.doctor.backends.traces import Jaeger, Tempo
from otelext.doctor.canary import Canary, Preferences
from otelext.doctor.credentials import Credentials
from otelext.doctor.delivery import deliver
from otelext.doctor.endpoint import SIGNALS, endpoints, not_exported
from otelext.doctor.finding import Finding
from otelext.doctor.findings import Backends, Facts, findings
from otelext.doctor.hops import search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelext.doctor.delivery import Delivery
    from otelext.doctor.endpoint import Signal
    from otelext.doctor.settings import Access, Product, Settings

ROLES: Final[dict[Product, Signal]] = {
    "jaeger": "traces",
    "tempo": "traces",
    "prometheus": "metrics",
    "mimir": "metrics",
    "loki": "logs",
}


@dataclass(frozen=True)
class Report:
    """What one examination found.

    Attributes:
        canary: What was sent.
        findings: One a check, in the order of the way.
        seconds: That it all took.
        began: When it began, in seconds since the epoch.
    """

    canary: Canary
    findings: tuple[Finding, ...]
    seconds: float
    began: float

    @property
    def healthy(self) -> bool:
        """Whether nothing is broken."""
        return not any(finding.level == "error" for finding in self.findings)


def examine(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Examine everything that the settings don't leave out.

    Args:
        settings: What to go by.
        progress: Is told what is waited for.

    Raises:
        AddressError: The environment's or the settings' address of the receiver is none.
    """
    begun, began = time.monotonic(), time.time()
    targets = endpoints(settings.environ, endpoint=settings.endpoint, protocol=settings.protocol)
    canary = Canary.made(Preferences.read(settings.environ))
    left_out: dict[Signal, str] = {signal: f"{signal} are not sent" for signal in SIGNALS if signal in settings.skip}
    unsent = not_exported(settings.environ) | left_out
    accesses: dict[Signal, Access] = {
        ROLES[product]: access for product, access in settings.backends.items() if ROLES[product] not in unsent
    }
    with ExitStack() as opened:
        progress("asking the backends whether they answer")
        backends, healths = _looked(accesses, opened)
        progress(f"sending a canary to {targets['traces'].base}")
        delivery = deliver(canary, targets, unsent, settings.timeout, settings.known_ports, settings.environ)
        accepted = delivery.accepted
        progress("looking for the canary")
        sent = min((delivery.answers[signal].begun for signal in accepted), default=begun)
        sights = search(
            canary,
            sent,
            settings.timeout,
            traces=backends.traces if "traces" in accepted else None,
            metrics=backends.metrics if "metrics" in accepted else None,
            exemplars="exemplars" not in settings.skip,
            logs=backends.logs if "logs" in accepted else None,
        )
        skews = _skews(accesses, healths, delivery)
        facts = Facts(
            canary=canary,
            accepted=accepted,
            skip=settings.skip,
            accesses=accesses,
            healths=healths,
            backends=backends,
            sights=sights,
            ahead=clock.harm(skews.values()),
            timeout=settings.timeout,
            begun=sent,
        )
        progress("looking at the environment")
        found = [
            *_environment(settings),
            clock.examine(skews)
            if "clock" not in settings.skip
            else Finding(clock.CHECK, "skipped", "no clock is looked at"),
            *delivery.findings,
            *findings(facts, progress),
        ]
    credentials = Credentials.of(targets.values(), settings.backends.values())
    return Report(canary, tuple(credentials.hidden(one) for one in found), time.monotonic() - begun, began)


def _environment(settings: Settings) -> list[Finding]:
    """What can be said before anything is sent."""
    if "environment" in settings.skip:
        return [Finding("environment", "skipped", "the environment is not looked at")]
    from otelext.doctor.environment import examine as examined  # noqa: PLC0415  # reads what is installed

    return examined(settings.environ)


def _looked(accesses: Mapping[Signal, Access], opened: ExitStack) -> tuple[Backends, dict[Signal, Health]]:
    """The backends that answer, and how each was found, all asked at the same time."""
    made: dict[Signal, Jaeger | Tempo | Prometheus | Loki] = {}
    healths: dict[Signal, Health] = {}
    for signal, access in accesses.items():
        try:
            made[signal] = _backend(access, opened.enter_context(Api(access)))
        except UnansweredError as error:
            healths[signal] = Health(False, str(error), trouble=error.trouble)
    with ThreadPoolExecutor(max_workers=len(SIGNALS)) as threads:
        healths |= dict(zip(made, threads.map(lambda one: one.look(), made.values()), strict=True))
    answering = [backend for signal, backend in made.items() if healths[signal].answers]
    found = Backends(
        traces=next((one for one in answering if isinstance(one, (Jaeger, Tempo))), None),
        metrics=next((one for one in answering if isinstance(one, Prometheus)), None),
        logs=next((one for one in answering if isinstance(one, Loki)), None),
    )
    return found, healths


def _backend(access: Access, api: Api) -> Jaeger | Tempo | Prometheus | Loki:
    match access.product:
        case "jaeger":
            return Jaeger(api)
        case "tempo":
            return Tempo(api)
        case "loki":
            return Loki(api)
        case _:
            return Prometheus(api, access.product.capitalize())


def _skews(
    accesses: Mapping[Signal, Access], healths: Mapping[Signal, Health], delivery: Delivery
) -> dict[str, clock.Skew]:
    """How far each server's clock is ahead of this machine's."""
    found = {
        accesses[signal].product.capitalize(): clock.Skew(health.skew, health.uncertainty)
        for signal, health in healths.items()
    }
    for answer in delivery.answers.values():
        found["the receiver"] = clock.skew_of_receiver(answer)
    return {name: one for name, one in found.items() if one.seconds is not None}
