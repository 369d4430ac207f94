"""What is asked of every backend before anything is sent: whether it answers, and what time it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelext.doctor.backends.api import UnansweredError
from otelext.doctor.clock import skew

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelext.doctor.backends.api import Api, Response
    from otelext.doctor.trouble import Trouble


_OK: Final = 200


@dataclass(frozen=True)
class Health:
    """How a backend was found.

    Attributes:
        answers: Whether it can be asked for what was sent.
        text: Why it can't, or why it says that it isn't ready; empty where all is well.
        status: HTTP's number where it refuses to be asked.
        trouble: Why nobody answered there.
        skew: Seconds that its clock is ahead of this machine's, None where it does not say.
        uncertainty: Seconds by which `skew` may be wrong: the `Date` of HTTP has whole seconds.
        counts: What it counts of itself, by metric and labels, where it tells.
    """

    answers: bool
    text: str = ""
    status: int | None = None
    trouble: Trouble | None = None
    skew: float | None = None
    uncertainty: float = 0.0
    counts: Mapping[str, float] = field(default_factory=dict)


def looked(api: Api, path: str, is_right: Callable[[Response], bool], **parameters: str) -> Health:
    """Ask for what every healthy server of the kind answers.

    Args:
        api: Of the server.
        path: What is asked for.
        is_right: Whether an answer is one of that kind; may raise `UnansweredError` of an answer that can't be read.
        parameters: Of the query.
    """
    try:
        response = api.get(path, **parameters)
    except UnansweredError as error:
        return Health(False, str(error), error.status, error.trouble)
    seen, uncertainty = skew(response)
    try:
        answers = is_right(response)
    except (UnansweredError, KeyError, TypeError):
        answers = False
    text, status = ("", None) if answers else (response.said, response.status)
    return Health(answers, text, status, skew=seen, uncertainty=uncertainty)


def succeeded(response: Response) -> bool:
    """Whether an answer is one of Prometheus' or Loki's, which both say `success`."""
    return response.status == _OK and bool(response.json()["status"] == "success")
