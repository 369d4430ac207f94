"""How big a request is: what `growth.py` varies, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from raw_otel import MODEL, STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Plan(NamedTuple):
    """What one request does: everything that it names, made before it."""

    model: str
    stages: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shape:
    """Requests of one size.

    Attributes:
        stages: Stages a request, all of them before the first token.
        attributes: Attributes that the request's own code sets on its span.
        open: Requests that are open at once.
        models: Distinct models, one after the other.
        stage_names: Distinct names of stages, one after the other.
    """

    stages: int = len(STAGES)
    attributes: int = 0
    open: int = 1
    models: int = 1
    stage_names: int = len(STAGES)

    def plans(self) -> list[Plan]:
        """As many different requests as name every model and stage."""
        # None of the known names where names are what varies: those keep a place under the limit, seen or not.
        names = STAGES if self.stage_names == len(STAGES) else [f"step_{n}" for n in range(self.stage_names)]
        attributes = tuple((f"app.attribute_{n}", f"value {n}") for n in range(self.attributes))
        return [
            Plan(
                MODEL if self.models == 1 else f"{MODEL}-{turn % self.models}",
                tuple(names[(turn * self.stages + n) % len(names)] for n in range(self.stages)),
                attributes,
            )
            for turn in range(max(self.models, -(-self.stage_names // self.stages)))
        ]


class Turns:
    """Requests in turn: a call begins one and ends the oldest, so that always as many are open as the shape says."""

    def __init__(self, shape: Shape, begin: Callable[[Plan], Iterator[str]]) -> None:
        self._plans = shape.plans()
        self._begin = begin
        self._began = 0
        self._open: list[Iterator[str]] = []
        for _ in range(shape.open - 1):
            self._open.append(self._next())
        self._oldest = 0
        for _ in self._plans:  # what is made once for each name is made now
            self()

    def __call__(self) -> None:
        """One request begins and one ends."""
        request = self._next()
        if self._open:
            request, self._open[self._oldest] = self._open[self._oldest], request
            self._oldest = (self._oldest + 1) % len(self._open)
        for _ in request:
            pass

    def _next(self) -> Iterator[str]:
        request = self._begin(self._plans[self._began % len(self._plans)])
        self._began += 1
        next(request)  # up to the first token
        return request
