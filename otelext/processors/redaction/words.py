"""Words that the conventions' names of spans begin with or are made of; what is none of these came with a request.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and .../database/database-spans/
"""

from __future__ import annotations

from typing import Final

METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)  # fmt: skip
"""Methods of HTTP."""

_STATEMENTS: Final = frozenset(
    {
        "ALTER", "ANALYZE", "BEGIN", "CALL", "COMMIT", "CONNECT", "COPY", "CREATE", "DELETE", "DROP", "EXEC", "EXECUTE",
        "EXPLAIN", "INSERT", "LOCK", "MERGE", "PRAGMA", "RELEASE", "REPLACE", "ROLLBACK", "SAVEPOINT", "SELECT", "SET",
        "SHOW", "TRUNCATE", "UPDATE", "VACUUM", "VALUES", "WITH",
    }
)  # fmt: skip

_BETWEEN: Final = frozenset(
    {"HTTP", "WEBSOCKET", "http", "receive", "send", "websocket", "BackgroundTask", "apply_async", "run"}
)  # fmt: skip


def is_statement(word: str) -> bool:
    """Whether a word is the first one of a statement of SQL, or the name of such an operation."""
    return word.upper() in _STATEMENTS


def is_conventional(word: str) -> bool:
    """Whether a word is a method, the first of a statement, or one that instrumentations put beside values."""
    return word in METHODS or word in _BETWEEN or is_statement(word)
