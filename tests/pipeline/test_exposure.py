"""Secrets in plain text, and what only looks like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext.pipeline.validate import load, validate

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = [
    "exporters: {otlp_http: {headers: {x-api-key: abc}}}",
    "exporters: {otlp_http: {headers: {DD-API-KEY: abc}}}",
    "exporters: {otlp_http: {headers: [{name: authorization, value: Bearer abc}]}}",
    "exporters: {clickhouse: {endpoint: 'tcp://a:9000?username=me&password=abc'}}",
    "exporters: {clickhouse: {endpoint: 'tcp://me:a$$b@a:9000'}}",
    "extensions: {headers_setter: {headers: [{key: authorization, value: Bearer abc}]}}",
    "extensions: {basicauth: {htpasswd: {inline: 'me:abc'}}}",
    "receivers: {sqlquery: {datasource: 'host=a user=me password=abc'}}",
    "receivers: {sqlquery: {datasource: 'postgres://me:abc@a/b'}}",
]
NOT_PLAIN = [
    "exporters: {otlp_http: {headers: {x-api-key: '${env:SECRET}'}}}",
    "exporters: {otlp_http: {headers: {authorization: 'Bearer ${env:SECRET}'}}}",
    "exporters: {otlp_http: {headers: [{name: x-scope-orgid, value: abc}]}}",
    "extensions: {headers_setter: {headers: [{key: authorization, from_context: authorization}]}}",
    "extensions: {basicauth: {htpasswd: {inline: '${env:USER}:${env:SECRET}'}}}",
    "receivers: {sqlquery: {datasource: 'host=a user=me password=${env:SECRET}'}}",
    "processors: {attributes: {actions: [{key: authorization, value: '***', action: update}]}}",
    "receivers: {file_log: {operators: [{type: regex_parser, regex: 'password=(?P<word>.*)'}]}}",
]


def rules(tmp_path: Path, text: str, environ: dict[str, str]) -> set[str]:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return {one.rule.id for one in validate([load(str(file), environ=environ)])}


@pytest.mark.parametrize("text", PLAIN)
def test_a_secret_in_plain_text_is_found(tmp_path: Path, text: str) -> None:
    assert "plain-secret" in rules(tmp_path, text, {})


@pytest.mark.parametrize("environ", [{}, {"SECRET": "abc", "USER": "me"}], ids=["defaults", "environment"])
@pytest.mark.parametrize("text", NOT_PLAIN)
def test_a_secret_that_the_environment_holds_is_none_of_the_file(
    tmp_path: Path, text: str, environ: dict[str, str]
) -> None:
    assert "plain-secret" not in rules(tmp_path, text, environ)
