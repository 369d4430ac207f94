"""Causes behind the Collector and at the backends, from facts alone; tests/stack builds most of them for real."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.doctor.backends.health import Health
from otelext.doctor.backends.prometheus import Configured, Sample
from otelext.doctor.canary import Preferences
from otelext.doctor.causes import missing as causes
from otelext.doctor.causes.missing import Missing
from otelext.doctor.causes.unanswered import why_not_asked
from otelext.doctor.collectors import Failure, Telemetry
from otelext.doctor.credentials import Credentials
from otelext.doctor.endpoint import SIGNALS
from otelext.doctor.finding import Finding
from otelext.doctor.settings import PRODUCTS, Access
from otelext.doctor.trouble import Trouble

WHY: dict[str, Any] = {
    "traces": causes.why_no_trace,
    "metrics": causes.why_no_metric,
    "logs": causes.why_no_log,
}
BACKENDS = {"traces": "Jaeger", "metrics": "Prometheus", "logs": "Loki"}


def failing(signal: Any, error: str, *, dropped: bool = False, recent: bool = True, queue: float = 0) -> Telemetry:
    exporter = "otlp_http/x"
    return Telemetry(
        known=True,
        queued={signal: {exporter: queue}} if queue else {},
        failures={signal: (Failure(exporter, error, dropped, recent),)},
    )


def cause(signal: str, **facts: Any) -> Any:
    return WHY[signal](Missing(BACKENDS[signal], 15.0, **facts))


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    ("error", "text", "step"),
    [
        ("dial tcp 10.0.0.1:4317: connect: connection refused", "does not reach", "up --detach"),
        ("dial tcp: lookup x: no such host", "does not reach", "_ENDPOINT"),
        ("context deadline exceeded", "does not reach", "_ENDPOINT"),
        ("rpc error: code = Unauthenticated desc = no", "refuses the credentials", "_HEADERS"),
        ("HTTP Status Code 401", "refuses the credentials", "_HEADERS"),
        ("write: no space left on device", "disk is full", "df -h"),
        ("tls: first record does not look like a TLS handshake", "do not agree on TLS", "https://"),
        ("HTTP Status Code 404", "takes no OTLP", "_ENDPOINT"),
        ("something else", "does not take what", "logs collector"),
        (
            "request to http://10.0.0.1:4040/otlp/v1/logs responded with HTTP Status Code 400",
            "does not take what",
            "log",
        ),
    ],
)
def test_what_the_collector_logs_is_the_cause(signal: str, error: str, text: str, step: str) -> None:
    found = cause(signal, telemetry=failing(signal, error, queue=3))
    assert text in found.text
    assert step in found.next_step
    assert "waits in the exporter's queue" in found.text
    assert error in found.evidence[0]
    dropped = cause(signal, telemetry=failing(signal, error, dropped=True))
    assert "was dropped" in dropped.text


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_older_line_counts_only_for_what_still_waits(signal: str) -> None:
    old = failing(signal, "connection refused", recent=False)
    assert "did not show it within 15 s" in cause(signal, telemetry=old).text
    waiting = failing(signal, "connection refused", recent=False, queue=5)
    assert "does not reach" in cause(signal, telemetry=waiting).text
    unsaid = Telemetry(known=True, queued={signal: {"otlp": 5.0}})  # type: ignore[dict-item]
    assert "waits in the queue of the Collector's otlp" in cause(signal, telemetry=unsaid).text


@pytest.mark.parametrize("signal", SIGNALS)
def test_what_was_given_up_or_filtered(signal: str) -> None:
    given_up = Telemetry(known=True, given_up={signal: {"otlp": 7.0}})  # type: ignore[dict-item]
    assert "refused for good" in cause(signal, telemetry=given_up).text
    filtered = Telemetry(known=True, filtered={signal: {"filter/noise": 7.0}})  # type: ignore[dict-item]
    assert "filter/noise removes items" in cause(signal, telemetry=filtered).text


def test_sampling_comes_before_what_is_vague_and_after_what_is_certain() -> None:
    sampled = Telemetry(known=True, sampled=1, sampled_away=9, filtered={"traces": {"filter": 1.0}})
    found = cause("traces", telemetry=sampled)
    assert "sampling dropped the canary" in found.text
    assert "9 of 10 traces" in found.evidence[0]
    failures = {"traces": (Failure("otlp", "connection refused", dropped=False, recent=True),)}
    assert "does not reach" in cause("traces", telemetry=Telemetry(True, failures=failures, sampled_away=9)).text  # type: ignore[arg-type]


def test_a_sampler_that_has_not_decided_is_waited_for() -> None:
    late = cause("traces", telemetry=Telemetry(known=True, decides_late=True))
    assert "has not decided on the canary within 15 s" in late.text
    assert "otelext doctor --timeout 150" in late.next_step
    lost = Telemetry(known=True, decides_late=True, given_up={"traces": {"otlp": 1.0}})
    assert "refused for good" in cause("traces", telemetry=lost).text


@pytest.mark.parametrize(
    ("facts", "text", "step"),
    [
        ({"preferences": Preferences(delta=True), "ahead": 3600.0}, "delta temporality", "=cumulative"),
        ({"ahead": 3600.0, "configured": Configured(otlp=False)}, "3600 s ahead", "timedatectl"),
        ({"configured": Configured(otlp=False)}, "receiver of OTLP is off", "--web.enable-otlp-receiver"),
        ({"configured": Configured(otlp=False), "telemetry": failing("metrics", "404", dropped=True)}, "receiver of OTLP is off", "--web"),
        ({"configured": Configured(otlp=False), "telemetry": failing("metrics", "connection refused")}, "does not reach", "up"),
        ({"refused": {"prometheus_tsdb_out_of_order_samples_total": 6.0}, "configured": Configured(late="")}, "takes none out of order", "out_of_order_time_window"),
        ({"refused": {'prometheus_tsdb_out_of_bound_samples_total{type="float"}': 6.0}, "ahead": -7200.0}, "7200 s behind", "out_of_order"),
        ({"refused": {"prometheus_tsdb_too_old_samples_total": 6.0}, "configured": Configured(late="30m")}, "takes them for 30m", "out_of_order"),
        ({"telemetry": failing("metrics", "400: out of order sample", dropped=True), "newer": 30.0}, "30 s newer", "out_of_order"),
        ({"refused": {"prometheus_tsdb_wal_writes_failed_total": 1.0}}, "can't write to its disk", "df -h"),
    ],
)  # fmt: skip
def test_metrics(facts: dict[str, Any], text: str, step: str) -> None:
    found = cause("metrics", **facts)
    assert text in found.text
    assert step in found.next_step


@pytest.mark.parametrize(
    ("facts", "text", "step"),
    [
        ({"refused": {'loki_discarded_samples_total{reason="invalid_labels"}': 1.0, 'loki_discarded_samples_total{reason="max_label_names_per_series"}': 1.0}}, "label set (max_label_names_per_series)", "as_index_labels"),
        ({"refused": {'loki_discarded_samples_total{reason="label_value_too_long"}': 1.0}}, "label set (label_value_too_long)", "as_index_labels"),
        ({"refused": {'loki_discarded_samples_total{reason="too_far_in_future"}': 1.0}, "ahead": 3600.0}, "clock is 3600 s off", "timedatectl"),
        ({"refused": {'loki_discarded_samples_total{reason="per_stream_rate_limit"}': 1.0}}, "at this rate", "per_stream_rate_limit"),
        ({"refused": {'loki_discarded_samples_total{reason="line_too_long"}': 1.0}}, "line_too_long", "limits_config"),
        ({"ahead": 3600.0}, "3600 s ahead", "timedatectl"),
        ({"telemetry": failing("logs", "400 entry for stream has 20 label names; limit 15", dropped=True)}, "label set", "as_index_labels"),
        ({"not_ready": "Ingester not ready: waiting for 15s"}, "not ready yet", "--timeout 60"),
        ({}, "did not show it", "logs collector"),
    ],
)  # fmt: skip
def test_logs(facts: dict[str, Any], text: str, step: str) -> None:
    found = cause("logs", **facts)
    assert text in found.text
    assert step in found.next_step


def test_other_forms_of_a_metric_and_missing_exemplars() -> None:
    facts = Missing("Mimir", 15.0)
    native = Sample("native", "otelext_canary_duration_seconds")
    assert "became a native one" in causes.why_other_form(native, facts).text
    exponential = Missing("Mimir", 15.0, preferences=Preferences(exponential=True))
    assert "exponential" in causes.why_other_form(native, exponential).text
    assert "otelext.canary" in causes.why_other_form(Sample("renamed", "otelext.canary"), facts).text
    assert (
        "stores no exemplars" in causes.why_no_exemplar(Missing("x", 1.0, configured=Configured(exemplars=False))).text
    )
    late = Missing("x", 1.0, refused={"prometheus_tsdb_exemplar_out_of_order_exemplars_total": 1.0})
    assert "newer one" in causes.why_no_exemplar(late).text
    assert "send_exemplars" in causes.why_no_exemplar(facts).text


@pytest.mark.parametrize(
    ("health", "access", "text", "step"),
    [
        (Health(False, "refused", trouble=Trouble("refused", "x")), {}, "Loki is down, or not at http://localhost:3100, the default address", "up --detach loki"),
        (Health(False, "refused", trouble=Trouble("refused", "x")), {"given": True}, "nothing listens there", "--loki URL names another, --skip loki"),
        (Health(False, "no", 401), {}, "credentials for Loki's API are missing", "OTELEXT_DOCTOR_LOKI_HEADERS=Authorization"),
        (Health(False, "no", 403), {"headers": (("authorization", "x"),)}, "are wrong", "OTELEXT_DOCTOR_LOKI_HEADERS"),
        (Health(False, "no", 401), {"url": "http://u:p@localhost:3100"}, "are wrong", "OTELEXT_DOCTOR_LOKI_HEADERS"),
        (Health(False, "401 no org id", 401), {}, "several tenants", "X-Scope-OrgID=TENANT"),
        (Health(False, "502 bad gateway", 502), {}, "not ready yet", "/ready"),
        (Health(False, "404 page", 404), {}, "is not the API of Loki", "--loki URL"),
        (Health(False, "x", trouble=Trouble("untrusted", "self-signed")), {}, "TLS fails with Loki: self-signed", "OTELEXT_DOCTOR_CERTIFICATE"),
        (Health(False, "x", trouble=Trouble("unresolved", "x")), {}, "has no address here", "--loki"),
        (Health(False, "no answer in time", trouble=Trouble("timeout", "x")), {}, "gives no answer", "curl -v"),
    ],
)  # fmt: skip
def test_a_backend_that_cannot_be_asked(health: Health, access: dict[str, Any], text: str, step: str) -> None:
    found = why_not_asked(Access("loki", **{"url": "http://localhost:3100", **access}), health)
    assert text in found.text
    assert step in found.next_step


def test_a_full_disk_goes_before_a_backend_that_is_down() -> None:
    health = Health(False, "refused", trouble=Trouble("refused", "x"))
    found = why_not_asked(Access("jaeger", "http://localhost:1"), health, ("/var/lib",))
    assert "the disk at /var/lib is full" in found.text
    assert "df -h /var/lib" in found.next_step


@given(
    st.sampled_from(SIGNALS),
    st.floats(0, 100),
    st.one_of(st.none(), st.floats(-1e6, 1e6)),
    st.builds(Preferences, st.booleans(), st.booleans()),
    st.builds(Configured, st.none() | st.booleans(), st.none() | st.booleans(), st.none() | st.sampled_from(["", "30m"])),
    st.dictionaries(st.sampled_from(["prometheus_tsdb_too_old_samples_total", 'loki_discarded_samples_total{reason="x"}', "y"]), st.floats(1, 9)),
    st.text(max_size=5),
)  # fmt: skip
def test_whatever_is_known_there_is_a_cause_and_a_next_step(
    signal: Any, sampled: float, ahead: Any, preferences: Any, configured: Any, refused: Any, error: str
) -> None:
    telemetry = Telemetry(
        True, failures={signal: (Failure("e", error, dropped=False, recent=True),)}, sampled_away=sampled
    )
    facts = Missing("B", 1.0, telemetry, ahead, refused, "", preferences, configured)
    found = WHY[signal](facts)
    assert found.text
    assert found.next_step


@given(st.sampled_from(PRODUCTS), st.none() | st.integers(100, 599), st.text(max_size=20) | st.just("it said secret"))
def test_no_cause_shows_a_password(product: Any, status: Any, text: str) -> None:
    access = Access(product, "http://user:secret@localhost:1/?key=secret", (("authorization", "secret"),))
    found = why_not_asked(access, Health(False, text, status, None if status else Trouble("other", text)))
    if "secret" not in text:
        assert "secret" not in str(found)
    # What a server quotes is taken out where all findings are.
    finding = Finding("check", "error", found.text, found.text, found.next_step, found.evidence)
    assert "secret" not in str(Credentials.of([], [access]).hidden(finding))
