"""Variables that nothing reads, as their name is misspelled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.distro.config import PREFIX
from otelext.doctor.environment import names
from otelext.doctor.finding import Finding
from otelext.doctor.settings import PREFIX as DOCTOR
from otelext.doctor.shown import shown, typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CHECK: Final = "environment.typo"
_OURS_OR_OPENTELEMETRYS: Final = re.compile(r"OTEL|OTLP|OPEN_?TELEMETRY", re.IGNORECASE)
_MOST_EDITS: Final = 2
# The share of words that both have, of the words of either; one word too many or missing is above, a wrong one below.
_WORDS_IN_COMMON: Final = 0.75
# Names of other things begin with ours behind one letter.
_NO_TYPO: Final = re.compile(r"(HOTEL|MOTEL)_")


def examine(environ: Mapping[str, str], known: frozenset[str]) -> Iterator[Finding]:
    """A finding for each variable that is close to a `known` one, and for each of otelext's that is none."""
    read = frozenset(name for name in known if not names.is_read_by_nothing(name))
    for name in environ:
        if name in known or names.is_read_by_nothing(name) or names.is_of_others(name) or _NO_TYPO.match(name.upper()):
            continue
        meant = nearest(name, read)
        if meant is not None:
            yield _misspelled(name, environ[name], meant)
        elif name.startswith(PREFIX):
            yield Finding(
                CHECK,
                "warning",
                f"{name} is no variable of otelext, and nothing reads it",
                f"otelext reads {', '.join(sorted(_kin(name, known)))}.",
                f"unset {name}; `otelext env` lists all variables with their meaning",
            )


def _kin(name: str, known: Iterable[str]) -> Iterator[str]:
    """The variables of otelext that are read by the same part of it."""
    of_doctor = name.startswith(DOCTOR)
    return (one for one in known if one.startswith(PREFIX) and one.startswith(DOCTOR) == of_doctor)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant, None where none is close or where it is no typo."""
    if name in names.RENAMED:
        return names.RENAMED[name]
    one_of = _OURS_OR_OPENTELEMETRYS.match(name)
    best: tuple[int, str] | None = None
    for candidate in sorted(known):
        if name.upper() == candidate:
            return candidate
        edits = distance(name, candidate, _MOST_EDITS if one_of else 1)
        if edits is not None and (best is None or edits < best[0]):
            best = edits, candidate
    if best is not None and not (best[0] > 1 and names.is_of_an_instrumentation(name)):
        return best[1]
    if not one_of or names.is_of_an_instrumentation(name):
        return None
    words = set(name.upper().split("_"))
    share, candidate = max((_share(words, set(candidate.split("_"))), candidate) for candidate in known)
    return candidate if share >= _WORDS_IN_COMMON else None


def distance(left: str, right: str, most: int) -> int | None:
    """Letters to insert, remove, replace or swap with the next, None for more than `most`.

    The optimal string alignment distance: https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance
    """
    if abs(len(left) - len(right)) > most:
        return None
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, here in enumerate(left, 1):
        above, row = row, [i]
        for j, there in enumerate(right, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (here != there))
            if i > 1 and j > 1 and here == right[j - 2] and left[i - 2] == there:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return None
        before = above
    return row[-1] if row[-1] <= most else None


def _share(left: set[str], right: set[str]) -> float:
    return len(left & right) / len(left | right)


def _misspelled(name: str, value: str, meant: str) -> Finding:
    # A misspelled name says less well whether its value is a credential.
    export = typed(meant, value) if shown(name, value) == f"{name}={value}" else f"{meant}=..."
    return Finding(
        CHECK,
        "warning",
        f"{name} is set, and nothing reads it; {meant} is probably meant",
        "A variable whose name is misspelled is ignored without a word.",
        f"unset {name}; export {export}",
    )
