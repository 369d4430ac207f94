"""A run: what a generator, an iterator or a coroutine measures, an inference or a stage, from its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from otelext.capture.context import get_current
from otelext.capture.inference import Inference

if TYPE_CHECKING:
    from opentelemetry.context import Context


class Run(Protocol):
    """What is being measured: an inference or a stage, from its start to its end."""

    @property
    def context(self) -> Context:
        """The context inside it."""
        ...

    @property
    def outer(self) -> Context:
        """The context around it."""
        ...

    @property
    def end_ns(self) -> int | None:
        """Its end, None while it runs."""
        ...

    @property
    def owner(self) -> Inference | None:
        """The inference that this is, or belongs to."""
        ...

    def hand_over(self, chunk: object) -> None:
        """A chunk goes to the consumer."""

    def resume(self) -> None:
        """The consumer asks for more."""

    def succeed(self) -> None:
        """The inner code ended normally."""

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:
        """`exc` ended the inner code, perhaps while the consumer held a chunk or by the garbage collector."""


class Unmeasured:
    """Stands for an inference or stage that could not be started."""

    def __init__(self) -> None:
        self.context = self.outer = get_current()
        self.end_ns: int | None = None

    @property
    def owner(self) -> Inference | None:
        """None."""
        return None

    def hand_over(self, chunk: object) -> None:
        """Nothing is measured."""

    def resume(self) -> None:
        """Nothing is measured."""

    def succeed(self) -> None:
        """Nothing is measured."""

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:
        """Nothing is measured."""


class Counted:
    """An inference whose function returned its own `stream()`, which counts the chunks already."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.context = run.context
        self.outer = run.outer

    @property
    def end_ns(self) -> int | None:
        """As of the inference."""
        return self._run.end_ns

    @property
    def owner(self) -> Inference | None:
        """The inference."""
        return self._run.owner

    def hand_over(self, chunk: object) -> None:
        """Counted by `stream()`."""

    def resume(self) -> None:
        """Known to `stream()`."""

    def succeed(self) -> None:
        """End normally."""
        self._run.succeed()

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:
        """End by what was raised."""
        self._run.fail(exc, holding=holding, collected=collected)


def mark_driven(run: Run) -> None:
    """Say that chunks leave the inference by way of a generator or a returned iterator."""
    if isinstance(run, Inference):
        run.driven = True
        run.streaming = None
