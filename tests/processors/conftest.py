"""In-memory providers with the processor on them, in both lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from otelext.processors.genai import GenAISpanProcessor
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from otelext.testing import Captured


class StartListener(SpanProcessor):
    """Looks at the start of each span, so that ordinary SDK spans have to be made."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: that the hook is there is what counts."""


@pytest.fixture(params=["light", "sdk"])
def captured(request: pytest.FixtureRequest) -> Iterator[Captured]:
    """What a test emits; the processor was added as a user would."""
    processors: list[SpanProcessor] = [GenAISpanProcessor()]
    if request.param == "sdk":
        processors.append(StartListener())
    with capture(span_processors=processors) as found:
        yield found
