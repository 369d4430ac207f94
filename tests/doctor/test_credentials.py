from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otelext.doctor.credentials import HIDDEN, Credentials
from otelext.doctor.endpoint import endpoints
from otelext.doctor.finding import Finding, Hop
from otelext.doctor.settings import accesses

TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=4, max_size=30)


@given(TOKENS | st.just("Bearer"), TOKENS | st.just("basic"), TOKENS)
def test_what_quotes_a_credential_is_printed_without_it(token: str, password: str, key: str) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{token}",
        "OTELEXT_DOCTOR_LOKI_HEADERS": f"x-api-key={key}",
    }
    places = endpoints(environ, endpoint="http://collector:4318")
    backends = accesses(environ, {"jaeger": f"http://user:{password}@jaeger"})
    credentials = Credentials.of(places.values(), backends.values())
    quoting = f"<{token}> <{password}> <{key}>"
    found = credentials.hidden(Hop("check", "error", quoting, quoting, quoting, (quoting,), 0.5))
    for text in (found.summary, found.cause, found.next_step, *found.evidence):
        assert text == f"<{HIDDEN}> <{HIDDEN}> <{HIDDEN}>"
    assert found.seconds == 0.5


def test_what_is_no_credential_stays() -> None:
    environ = {"OTELEXT_DOCTOR_HEADERS": "X-Scope-OrgID=clinic,a=b"}
    credentials = Credentials.of([], accesses(environ, {}).values())
    found = Finding("check", "error", "the tenant clinic of b", "Bearer and Basic")
    assert credentials.hidden(found) == found


def test_over_grpc_the_password_of_an_address_is_one_too() -> None:
    places = endpoints({}, endpoint="http://user:password@collector:4317", protocol="grpc")
    credentials = Credentials.of(places.values(), [])
    assert (
        "password" not in credentials.hidden(Finding("x", "error", "errors resolving user:password@collector")).summary
    )
