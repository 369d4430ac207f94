"""Where processors of ours stand among a provider's. The SDK offers appending alone, behind those that export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SynchronousMultiSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator

MULTI: Final = (SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor)
"""The SDK's processors of several span processors."""
SPANS: Final = "_span_processors"
"""The attribute that holds those of a tracer provider's."""
RECORDS: Final = "_log_record_processors"
"""The same of a logger provider's."""


def leaves(processor: object) -> Iterator[object]:
    """The span processors in one, however deep, that hold no others; one of the user's own kind counts as one."""
    if type(processor) in MULTI:
        for member in processor._span_processors:  # type: ignore[attr-defined]  # noqa: SLF001  # no public way to ask
            yield from leaves(member)
    elif processor is not None:
        yield processor


def put_once(multi: Any, members: str, kind: type, at: int = 0) -> bool:
    """Put a processor of ours among those of a provider, unless one is there.

    Args:
        multi: What holds them, or anything.
        members: The attribute that does, `SPANS` or `RECORDS`.
        kind: Its class, made without arguments.
        at: How many stand before it.

    Returns:
        Whether one is there; not where `multi` is not the SDK's.
    """
    if not isinstance(getattr(multi, members, None), tuple):
        return False
    with multi._lock:  # noqa: SLF001
        found = getattr(multi, members)
        if not any(isinstance(member, kind) for member in found):
            setattr(multi, members, (*found[:at], kind(), *found[at:]))
    return True
