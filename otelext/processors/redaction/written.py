"""A span processor: notes which names of spans are constants of the code that starts them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import SpanProcessor

from otelext.processors.redaction import literals
from otelext.processors.redaction.names import NAMES

if TYPE_CHECKING:
    from types import FrameType

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

_FRAMES: Final = 12
_INSTRUMENTATION: Final = "opentelemetry.instrumentation."


class WrittenNameProcessor(SpanProcessor):
    """Asks the code that is running, where no source can be read later: typed in, installed or compiled.

    Only names that were not seen before cost more than a look-up.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # the SDK's signature
        """Note the span's name if a function around is written with it. Never raises."""
        name = span.name
        if type(name) is not str or NAMES.is_noted(name):
            return
        scope = span.instrumentation_scope
        if scope is not None and scope.name.startswith(_INSTRUMENTATION):
            return  # composed of what is on the span
        literals.main_file()  # which can't be asked any more when the last spans are exported
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # as logging finds callers
        for _ in range(_FRAMES):
            if frame is None:
                return
            if name in frame.f_code.co_consts:
                NAMES.note(name)
                return
            frame = frame.f_back
