from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from otelext.doctor.endpoint import AddressError
from otelext.doctor.settings import VARIABLES, accesses, known_ports


def addresses(environ: dict[str, str], given: Any, *skip: str) -> dict[str, str]:
    return {product: access.shown for product, access in accesses(environ, given, frozenset(skip)).items()}


def test_without_anything_the_defaults_of_the_composition_are_asked() -> None:
    assert addresses({}, {}) == {
        "jaeger": "http://localhost:16686",
        "prometheus": "http://localhost:9090",
        "loki": "http://localhost:3100",
    }
    assert not any(access.given for access in accesses({}, {}).values())


def test_an_option_goes_before_a_variable_and_a_variable_before_a_default() -> None:
    environ = {"OTELEXT_DOCTOR_LOKI": "http://variable:1", "OTELEXT_DOCTOR_TEMPO": "http://tempo:1/"}
    assert addresses(environ, {"loki": "http://option:1"})["loki"] == "http://option:1"
    found = accesses(environ, {})
    assert {product: access.given for product, access in found.items()} == {
        "tempo": True,
        "prometheus": False,
        "loki": True,
    }
    assert found["tempo"].shown == "http://tempo:1"
    # Of the two that keep the same, an option goes before the other's variable.
    assert "jaeger" in addresses(environ, {"jaeger": "http://jaeger:1"})
    assert "tempo" not in addresses(environ, {"jaeger": "http://jaeger:1"})


@pytest.mark.parametrize("pair", [("tempo", "jaeger"), ("mimir", "prometheus")])
def test_two_for_the_same_are_one_too_many(pair: tuple[str, str]) -> None:
    with pytest.raises(AddressError, match=f"--{pair[0]} and --{pair[1]} exclude each other"):
        accesses({}, dict.fromkeys(pair, "http://x:1"))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["jaeger", "tempo"])
def test_what_is_left_out_is_left_out_by_either_name(name: str) -> None:
    assert set(addresses({}, {}, name)) == {"prometheus", "loki"}
    assert set(addresses({}, {"tempo": "http://tempo:1"}, name)) == {"prometheus", "loki"}


@pytest.mark.parametrize("url", ["localhost:9090", "ftp://x", "http://", "http://[::1", "secret"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(AddressError, match="--mimir or OTELEXT_DOCTOR_MIMIR") as error:
        accesses({"OTELEXT_DOCTOR_MIMIR": url}, {})
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("environ", "ports"),
    [
        ({}, (4318, 4317)),
        ({"OTLP_HTTP_PORT": "14318", "OTLP_GRPC_PORT": "14317"}, (14318, 14317)),
        # As Kubernetes writes them for a service of that name.
        ({"OTLP_HTTP_PORT": "tcp://10.0.0.1:4318", "OTLP_GRPC_PORT": "99999"}, (4318, 4317)),
    ],
)
def test_ports_of_the_composition(environ: dict[str, str], ports: tuple[int, int]) -> None:
    assert known_ports(environ) == ports


def test_headers_of_all_and_of_one() -> None:
    environ = {"OTELEXT_DOCTOR_HEADERS": "a=1", "OTELEXT_DOCTOR_LOKI_HEADERS": "X-Scope-OrgID=clinic"}
    found = accesses(environ, {})
    assert found["jaeger"].headers == (("a", "1"),)
    assert found["loki"].headers == (("a", "1"), ("x-scope-orgid", "clinic"))


def test_no_text_of_an_access_shows_a_credential() -> None:
    environ = {"OTELEXT_DOCTOR_LOKI_HEADERS": "authorization=secret"}
    found = accesses(environ, {"loki": "https://user:secret@loki:1/base?token=secret"})["loki"]
    assert found.shown == "https://loki:1/base"
    assert "secret" not in f"{found} {found!r}"


def test_every_variable_that_is_read_is_known() -> None:
    """By their names in the files of the doctor: a variable that is not in the list would be called a typo."""
    import otelext.doctor

    files = Path(next(iter(otelext.doctor.__path__))).rglob("*.py")
    read = {name for file in files for name in re.findall(r"OTELEXT_DOCTOR_[A-Z_]*[A-Z]", file.read_text())}
    assert read <= VARIABLES.keys()
