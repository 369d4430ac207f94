"""Why what the receiver accepted is not where it is looked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelext.doctor.backends.loki import DISCARDED
from otelext.doctor.backends.prometheus import (
    BUCKETS,
    LATE_EXEMPLARS,
    OUT_OF_BOUNDS,
    OUT_OF_ORDER,
    TOO_OLD,
    UNWRITTEN,
    Configured,
)
from otelext.doctor.canary import Preferences
from otelext.doctor.causes.cause import Cause
from otelext.doctor.causes.exporting import LOG, by_log, by_losses, by_queue, is_not_found, unknown
from otelext.doctor.clock import FUTURE_S
from otelext.doctor.collectors import Telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.backends.prometheus import Sample

_PREFERENCE: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_AGGREGATION: Final = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
_LATE: Final = ("out of order", "out-of-order", "too old", "duplicate sample")
_SYNC: Final = "timedatectl set-ntp true   (or on the machine whose clock is wrong)"
_ANY_LABELS: Final = "invalid_labels"
_REASON: Final = re.compile(r'reason="([^"]*)"')


@dataclass(frozen=True)
class Missing:
    """What is known of a canary that was accepted and not found.

    Attributes:
        backend: Where it was looked for, as people call it.
        waited: For how many seconds.
        telemetry: What the Collector says of itself.
        ahead: Seconds that this machine's clock is ahead of the others' (negative: behind); None where they agree.
        refused: What the backend's own counters of refusals rose by, by metric and labels.
        not_ready: Why the backend says that it isn't ready, empty where it is.
        preferences: How the service's histograms leave it.
        configured: What Prometheus says of its settings.
        newer: Seconds by which a sample that the canary's series has already is ahead of it.
    """

    backend: str
    waited: float
    telemetry: Telemetry = field(default_factory=Telemetry)
    ahead: float | None = None
    refused: Mapping[str, float] = field(default_factory=dict)
    not_ready: str = ""
    preferences: Preferences = field(default_factory=Preferences)
    configured: Configured = field(default_factory=Configured)
    newer: float | None = None


def why_no_trace(facts: Missing) -> Cause:
    """The most likely cause that a trace is not there."""
    telemetry = facts.telemetry
    found = by_log("traces", facts.backend, telemetry) or by_queue("traces", facts.backend, telemetry)
    if found is not None:
        return found
    if telemetry.sampled_away > 0:
        kept = telemetry.sampled + telemetry.sampled_away
        return Cause(
            "sampling dropped the canary: no policy of the Collector's keeps traces with otelext.canary=true, or it has"
            f" not decided within {facts.waited:g} s",
            "otelext doctor --timeout 150   (and give tail_sampling the policy `canaries` of collector/gateway.yaml)",
            (f"samplers dropped {telemetry.sampled_away:.0f} of {kept:.0f} traces in the last 5 minutes",),
        )
    found = by_losses("traces", telemetry)
    if found is None and telemetry.decides_late:
        return Cause(
            f"the Collector's tail_sampling has not decided on the canary within {facts.waited:g} s",
            "otelext doctor --timeout 150   (longer than its decision_wait)",
        )
    return found or unknown(facts.backend, telemetry, facts.waited)


def why_no_metric(facts: Missing) -> Cause:
    """The most likely cause that a sample is not there."""
    telemetry, backend = facts.telemetry, facts.backend
    if facts.preferences.delta:
        return Cause(
            f"{_PREFERENCE} asks for delta temporality, which {backend} does not store",
            f"export {_PREFERENCE}=cumulative",
        )
    if facts.ahead is not None and facts.ahead > FUTURE_S:
        return Cause(f"this machine's clock is {facts.ahead:.0f} s ahead, and {backend} refuses the future", _SYNC)
    if any(name.startswith(UNWRITTEN) for name in facts.refused):
        return Cause(
            f"{backend} can't write to its disk, which is full or fails; it answers the Collector as if it had stored it",
            "df -h   (where its data lies; then give it space, or keep less: TELEMETRY_RETENTION)",
            (f"{UNWRITTEN} rose",),
        )
    found = by_log("metrics", backend, telemetry)
    late = _late(facts, found)
    if late is not None:
        return late
    if facts.configured.otlp is False and (found is None or is_not_found("metrics", telemetry)):
        return Cause(
            f"{backend}'s receiver of OTLP is off, so that it answers 404 to the Collector",
            "prometheus --web.enable-otlp-receiver ...   (as docker-compose.otel.yml starts it)",
            found.evidence if found else (),
        )
    return (
        found
        or by_queue("metrics", backend, telemetry)
        or by_losses("metrics", telemetry)
        or unknown(backend, telemetry, facts.waited)
    )


def why_other_form(sample: Sample, facts: Missing) -> Cause:
    """Why a sample that is there is not found by a query of `_bucket`."""
    if sample.form == "renamed":
        return Cause(
            f"{facts.backend} spells it {sample.name}, and dashboards and alerts {BUCKETS}",
            "in prometheus.yml: otlp.translation_strategy: UnderscoreEscapingWithSuffixes",
        )
    if facts.preferences.exponential:
        return Cause(
            f"{_AGGREGATION} asks for exponential histograms, which {facts.backend} stores as native ones: queries of"
            " _bucket find nothing",
            f"export {_AGGREGATION}=explicit_bucket_histogram",
        )
    if facts.configured.native:
        return Cause(
            f"{facts.backend} turns histograms into native ones: queries of _bucket find nothing",
            "in prometheus.yml: otlp.convert_histograms_to_nhcb: false",
        )
    return Cause(
        f"the histogram became a native one on its way to {facts.backend}: queries of _bucket find nothing", LOG
    )


def why_no_exemplar(facts: Missing) -> Cause:
    """The most likely cause that the sample is there and its exemplar is not."""
    if facts.configured.exemplars is False:
        return Cause(
            f"{facts.backend} stores no exemplars: the feature is off",
            "prometheus --enable-feature=exemplar-storage ...   (as docker-compose.otel.yml starts it)",
        )
    if any(name.startswith(LATE_EXEMPLARS) for name in facts.refused):
        return Cause(
            f"{facts.backend} refused the exemplar, as the series has a newer one: another doctor's clock is ahead",
            _SYNC,
        )
    return Cause(
        "the exemplar is lost on its way: a remote write needs send_exemplars, scraping needs OpenMetrics, and Mimir"
        " keeps none unless max_global_exemplars_per_user is set",
        LOG,
    )


def why_no_log(facts: Missing) -> Cause:
    """The most likely cause that a line is not there."""
    telemetry, backend = facts.telemetry, facts.backend
    reasons = [reason[1] for name in facts.refused if name.startswith(DISCARDED) and (reason := _REASON.search(name))]
    if reasons:
        # Some refusals are counted twice, the second time by the kind of answer.
        return _discarded(min(reasons, key=lambda one: one == _ANY_LABELS), facts)
    if facts.ahead is not None and facts.ahead > FUTURE_S:
        return Cause(f"this machine's clock is {facts.ahead:.0f} s ahead, and {backend} refuses the future", _SYNC)
    found = by_log("logs", backend, telemetry)
    if found is not None and any("label" in line for line in found.evidence):
        return _labels(backend, found.evidence)
    found = found or by_queue("logs", backend, telemetry)
    if found is None and facts.not_ready:
        return Cause(
            f"{backend} is not ready yet: {facts.not_ready}",
            "otelext doctor --timeout 60   (it is ready some 15 s after its start)",
        )
    return found or by_losses("logs", telemetry) or unknown(backend, telemetry, facts.waited)


def why_no_link_to_log(backend: str) -> Cause:
    """Why a line is there and the id of its trace does not find it."""
    return Cause(
        f"{backend} has the line without its trace_id: it came by another way than OTLP, or without structured metadata",
        "in loki.yaml: limits_config.allow_structured_metadata: true   (and the Collector's otlp_http to /otlp/v1/logs)",
    )


def _late(facts: Missing, logged: Cause | None) -> Cause | None:
    """Where the sample came too late for its series, by any of three signs."""
    refused = {
        name: rise for name, rise in facts.refused.items() if name.startswith((OUT_OF_ORDER, OUT_OF_BOUNDS, TOO_OLD))
    }
    said = tuple(f"{name} rose by {rise:.0f}" for name, rise in refused.items())
    evidence = logged.evidence if logged is not None else ()
    if not said and not any(word in line.lower() for word in _LATE for line in evidence):
        return None
    behind = facts.ahead is not None and facts.ahead < 0
    newer = ""
    if behind and facts.ahead is not None:
        newer = f", as this machine's clock is {-facts.ahead:.0f} s behind"
    elif facts.newer is not None:
        newer = f": its series has a sample that is {facts.newer:.0f} s newer, of a clock that was ahead"
    window = (
        "takes none out of order"
        if facts.configured.late == ""
        else f"takes them for {facts.configured.late or 'a while'}"
    )
    return Cause(
        f"{facts.backend} refused it as out of order{newer}; it {window}",
        "in prometheus.yml: storage.tsdb.out_of_order_time_window: 12h",
        (*said, *evidence),
    )


def _discarded(reason: str, facts: Missing) -> Cause:
    """By the reason that Loki gives: https://grafana.com/docs/loki/latest/operations/request-validation-rate-limits/."""
    said = (f'{DISCARDED}{{reason="{reason}"}} rose',)
    if "label" in reason or reason == "stream_limit":
        return _labels(facts.backend, said, reason)
    if reason in {"greater_than_max_sample_age", "too_far_in_future", "too_far_behind", "out_of_order"}:
        clock = f"; this machine's clock is {abs(facts.ahead):.0f} s off" if facts.ahead is not None else ""
        return Cause(f"{facts.backend} discards the line for its time ({reason}){clock}", "timedatectl status", said)
    if "rate" in reason:
        return Cause(
            f"{facts.backend} takes no more lines at this rate ({reason}); the Collector tries again",
            "in loki.yaml: limits_config.ingestion_rate_mb, per_stream_rate_limit",
            said,
        )
    return Cause(
        f"{facts.backend} discards the line: {reason}", "curl -s http://LOKI/config | grep -A99 limits_config", said
    )


def _labels(backend: str, evidence: tuple[str, ...], reason: str = "too many, or too long") -> Cause:
    return Cause(
        f"{backend} refuses the line's label set ({reason}): too many resource attributes are index labels",
        "in loki.yaml: distributor.otlp_config.default_resource_attributes_as_index_labels: [service.name]   (the others"
        " stay searchable as structured metadata; or raise limits_config.max_label_names_per_series)",
        evidence,
    )
