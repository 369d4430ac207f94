"""What is asked and what comes back, whichever endpoint it came by."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .critical_fields import UNKNOWN, Field
from .errors import RequestError
from .language import MODEL, Generated, Message, Sampling
from .vision import Recognition


@dataclass(frozen=True)
class Page:
    """An encoded image as it was sent."""

    data: bytes


@dataclass(frozen=True)
class Turn:
    """One turn of the conversation: text and pages in the order in which they were sent."""

    role: str
    parts: tuple[str | Page, ...]


@dataclass(frozen=True)
class Question:
    """A request.

    Attributes:
        turns: The conversation.
        sampling: How the answer is drawn.
        model: The model asked for.
        truth: What stands on the document, where the client knows it: critical fields by name.
        is_document: Whether critical fields are looked for and the answer is stored.
        refused: Why the request can't be answered, where its body already said so.
    """

    turns: tuple[Turn, ...] = ()
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=1))
    model: str = MODEL
    truth: Mapping[str, str] | None = None
    is_document: bool = False
    refused: RequestError | None = None

    @property
    def pages(self) -> list[Page]:
        """The pages of all turns."""
        return [part for turn in self.turns for part in turn.parts if isinstance(part, Page)]

    def messages(self, read: Iterable[str] | None = None) -> tuple[Message, ...]:
        """The conversation as the model sees it: each page replaced by what was read from it, or left out."""
        numbered = None if read is None else iter(f"Page {number}:\n{text}" for number, text in enumerate(read, 1))
        return tuple(Message(turn.role, "\n\n".join(_texts(turn, numbered))) for turn in self.turns)


@dataclass
class Reply:
    """What is known of the answer so far; complete when its pieces have ended."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))
    kind: str = UNKNOWN
    recognitions: Sequence[Recognition] = ()
    fields: Sequence[Field] = ()
    correct: Mapping[str, bool] | None = None
    text: str = ""
    generated: Generated | None = None

    @property
    def lines(self) -> list[str]:
        """The rows of all pages."""
        return [line for recognition in self.recognitions for line in recognition.lines]

    @property
    def confidence(self) -> float | None:
        """Mean of the pages' confidences, None where nothing was read."""
        known = [r.confidence for r in self.recognitions if r.confidence is not None]
        return sum(known) / len(known) if known else None


def _texts(turn: Turn, pages: Iterator[str] | None) -> Iterator[str]:
    for part in turn.parts:
        if isinstance(part, str):
            yield part
        elif pages is not None:
            yield next(pages)
