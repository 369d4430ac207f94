"""Prometheus and Mimir: the canary's sample, its exemplar, and what the server says of its own settings.

https://prometheus.io/docs/prometheus/latest/querying/api/; Mimir answers the same below `/prometheus`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from otelext import semconv
from otelext.doctor.backends.api import UnansweredError
from otelext.doctor.backends.exposition import scraped
from otelext.doctor.backends.health import looked, succeeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelext.doctor.backends.api import Api
    from otelext.doctor.backends.health import Health
    from otelext.doctor.canary import Canary

Form: TypeAlias = Literal["buckets", "native", "renamed"]

BUCKETS: Final = "otelext_canary_duration_seconds_bucket"
"""What the canary's buckets are called, as dashboards and alerts spell the names of metrics."""
OUT_OF_ORDER: Final = "prometheus_tsdb_out_of_order_samples_total"
OUT_OF_BOUNDS: Final = "prometheus_tsdb_out_of_bound_samples_total"
TOO_OLD: Final = "prometheus_tsdb_too_old_samples_total"
LATE_EXEMPLARS: Final = "prometheus_tsdb_exemplar_out_of_order_exemplars_total"
UNWRITTEN: Final = "prometheus_tsdb_wal_writes_failed_total"
_COUNTED: Final = frozenset({OUT_OF_ORDER, OUT_OF_BOUNDS, TOO_OLD, LATE_EXEMPLARS, UNWRITTEN})
# Whatever stands for the dots, and whether the unit is in the name.
_ANY_NAME: Final = "|".join(
    f"{semconv.CANARY_DURATION.name.replace('.', separator)}.*" for separator in ("_", "[.]", "__")
)
_OTLP_PATH: Final = "/api/v1/otlp/v1/metrics"
_MARGIN_S: Final = 60.0
_DAY_S: Final = 86_400.0
_OK: Final = 200
_NOT_FOUND: Final = 404


@dataclass(frozen=True)
class Sample:
    """The canary's metric, as it is stored.

    Attributes:
        form: `buckets`: a query of `_bucket` finds it. `native`: it is a native histogram, which such a query doesn't
            find. `renamed`: it has buckets, and another name than queries spell.
        name: Of the series.
    """

    form: Form
    name: str


@dataclass(frozen=True)
class Configured:
    """What a Prometheus says of its settings; None where it does not say, as Mimir.

    Attributes:
        otlp: Whether its receiver of OTLP is on.
        exemplars: Whether it stores exemplars.
        late: For how long samples may come late, as it is written: `30m`; empty where they may not.
        native: Whether it turns classic histograms into native ones with the same buckets.
    """

    otlp: bool | None = None
    exemplars: bool | None = None
    late: str | None = None
    native: bool | None = None


@dataclass(frozen=True)
class Prometheus:
    """One server.

    Attributes:
        api: How it is asked.
        name: As people call it.
    """

    api: Api
    name: str = "Prometheus"

    def look(self) -> Health:
        """Whether it answers, and what it refused so far."""
        found = looked(self.api, "/api/v1/query", succeeded, query="1")
        return replace(found, counts=self.counts()) if found.answers else found

    def counts(self) -> Mapping[str, float]:
        """What it refused so far by reason, empty where it does not tell."""
        return scraped(self.api, _COUNTED)

    def sample(self, canary: Canary, seconds: float) -> Sample | None:
        """The canary's sample, if it is there.

        Args:
            canary: Whose.
            seconds: How long after it was made to look.

        Raises:
            UnansweredError: It can't be asked.
        """
        series = list(self._series(canary, 1.0, seconds + _MARGIN_S))
        native = [name for name, _, sums in series if canary.value in sums]
        moments = {
            (name, moment)
            for name, values, _ in series
            if name.endswith("_sum")
            for moment, value in values
            if value == canary.value
        }
        for total, moment in moments:
            bucket = f"{total.removesuffix('_sum')}_bucket"
            if any(name == bucket and any(at == moment for at, _ in values) for name, values, _ in series):
                return Sample("buckets" if bucket == BUCKETS else "renamed", bucket)
        return Sample("native", native[0]) if native else None

    def newer_than(self, canary: Canary) -> float | None:
        """Seconds by which the newest sample of the canary's series is ahead of it, None where none is.

        Raises:
            UnansweredError: It can't be asked.
        """
        moments = [at for _, values, _ in self._series(canary, 0.0, _DAY_S) for at, _ in values]
        ahead = max(moments, default=0.0) - canary.moment / 1e9
        return ahead if ahead > 0 else None

    def exemplar(self, canary: Canary, seconds: float) -> str | None:
        """The trace id of the canary's exemplar, None while it is not there.

        Raises:
            UnansweredError: It can't be asked.
        """
        found = self.api.ask(
            "/api/v1/query_exemplars",
            query=f'{{__name__=~"{_ANY_NAME}"}}',
            start=canary.moment / 1e9 - _MARGIN_S,
            end=canary.moment / 1e9 + seconds + _MARGIN_S,
        )
        for series in found.get("data") or []:
            for exemplar in series["exemplars"]:
                # By the value first: the id is what is to be found out.
                if float(exemplar["value"]) == canary.value:
                    labels = exemplar["labels"]
                    return str(labels.get("trace_id") or labels.get("traceID") or "")
        return None

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The series of an instant query with their values, newest samples of the last minutes.

        Raises:
            UnansweredError: It can't be asked.
        """
        found = self.api.ask("/api/v1/query", query=expression)["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def configured(self) -> Configured:
        """What it says of its settings."""
        flags, yaml = self._status("flags"), self._status("config").get("yaml")
        features = str(flags.get("enable-feature", ""))
        late = re.search(r"out_of_order_time_window: *(\S+)", yaml or "")
        receiver = flags.get("web.enable-otlp-receiver")
        return Configured(
            otlp=receiver == "true" if receiver is not None else self._takes_otlp(),
            exemplars="exemplar-storage" in features if "enable-feature" in flags else None,
            late=None if yaml is None else late[1] if late and late[1] not in {"0s", "0"} else "",
            native=None if yaml is None else "convert_histograms_to_nhcb: true" in yaml,
        )

    def _takes_otlp(self) -> bool | None:
        """By an empty message, where the flags are not told."""
        try:
            status = self.api.post(_OTLP_PATH, b"", "application/x-protobuf").status
        except UnansweredError:
            return None
        return {_OK: True, _NOT_FOUND: False}.get(status)

    def _status(self, what: str) -> dict[str, Any]:
        try:
            found = self.api.ask(f"/api/v1/status/{what}")["data"]
        except (UnansweredError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    def _series(
        self, canary: Canary, before: float, after: float
    ) -> Iterable[tuple[str, list[tuple[float, float]], list[float]]]:
        """Name, samples and sums of native histograms of each series of canaries, around the moment of one."""
        at = canary.moment / 1e9
        selector = f'{{__name__=~"{_ANY_NAME}"}}[{before + after:.0f}s]'
        found = self.api.ask("/api/v1/query", query=selector, time=f"{at + after:.3f}")
        yield from _read(found["data"]["result"])


def _read(result: list[dict[str, Any]]) -> Iterator[tuple[str, list[tuple[float, float]], list[float]]]:
    for series in result:
        values = [(float(at), float(value)) for at, value in series.get("values", ())]
        sums = [float(histogram["sum"]) for _, histogram in series.get("histograms", ())]
        yield series["metric"]["__name__"], values, sums
