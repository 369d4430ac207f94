"""Resources and instrumentation scopes as they leave: few distinct ones, each looked at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelext import semconv
from otelext.constant import REDACTED
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.names import NAMES
from otelext.processors.redaction.rules import PROCESS, Rules

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_KEPT: Final = 256
# https://packaging.python.org/en/latest/specifications/version-specifiers/ without the local part, which holds anything.
_VERSION: Final = r"v?\d{1,8}(?:\.\d{1,8}){0,4}(?:[.-]?(?:a|b|rc|alpha|beta|pre|post|dev)\.?\d{0,4}){0,3}"
_SCHEMA: Final = "https://opentelemetry.io/schemas/"


class _Kept:
    """What was looked at already, by identity; each is kept alive, so that its id stays its own."""

    def __init__(self, leave: Callable[[Rules, Any], Any]) -> None:
        self._leave = leave
        self._by_id: dict[int, tuple[Any, Rules, tuple[str, ...], Any]] = {}

    def __call__(self, rules: Rules, given: Any) -> Any:
        found = self._by_id.get(id(given))
        if found is not None and found[0] is given and found[1] is rules and found[2] == PROCESS.unwrapped:
            return found[3]
        leaves = self._leave(rules, given)
        if len(self._by_id) >= _MAX_KEPT:
            self._by_id.clear()
        self._by_id[id(given)] = (given, rules, PROCESS.unwrapped, leaves)
        return leaves


def _resource(rules: Rules, given: Resource) -> Resource:
    attributes = rules.attributes(given.attributes, semconv.REDACTED_RESOURCE_ATTRIBUTE)
    says = PROCESS.resource()
    schema_url = _schema_url(given.schema_url)
    if attributes is given.attributes and not says and schema_url == given.schema_url:
        return given
    return Resource({**attributes, **says}, schema_url)


def _scope(rules: Rules, given: InstrumentationScope) -> InstrumentationScope:
    name = scope_name(given.name)
    version = given.version
    if version is not None and not re.fullmatch(_VERSION, version):
        public = version.partition("+")[0]
        version = public if re.fullmatch(_VERSION, public) else None
        COUNTS.add(semconv.REDACTED_SCOPE)
    schema_url = _schema_url(given.schema_url)
    attributes = rules.attributes(given.attributes, semconv.REDACTED_SCOPE) if given.attributes else given.attributes
    if (name, version, schema_url) == (given.name, given.version, given.schema_url) and attributes is given.attributes:
        return given
    return InstrumentationScope(name, version, schema_url, attributes)


def _schema_url(given: str | None) -> str | None:
    return given if not given or given.startswith(_SCHEMA) else ""


def scope_name(name: str) -> str:
    """The name of a scope, a tracer, a meter or a logger, as it leaves: a module's or one that is written somewhere."""
    if not name or name == "root" or NAMES.names_code(name):
        return name
    COUNTS.add(semconv.REDACTED_SCOPE)
    return REDACTED


resource_of: Final = _Kept(_resource)
"""A resource as it leaves."""
scope_of: Final = _Kept(_scope)
"""A scope as it leaves."""
