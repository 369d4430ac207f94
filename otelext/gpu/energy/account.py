"""This process's account of energy: joules by model and state, settled once a pass of the poller."""

from __future__ import annotations

import logging
from contextlib import suppress
from itertools import chain
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from otelext import semconv
from otelext.constant import Constant
from otelext.gpu.energy import participants
from otelext.gpu.energy.activity import GPUS, LONGEST_NS, SHORTEST_NS, Activity, bounded
from otelext.gpu.energy.inferences import Interval, work
from otelext.gpu.energy.participants import Own
from otelext.gpu.energy.samples import Curve, continued, newest
from otelext.gpu.energy.shares import Shares, Slice, Work, shares
from otelext.gpu.minute import OnceAMinute

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from otelext.gpu.snapshot import EnergySample

_logger = logging.getLogger("otelext")
GAP: Final = 3
"""Intervals after which one that publishes late tells and claims nothing for the time in between."""
_TOO_LATE: Final = 5
LATE: Final = 6
"""Intervals after which the others wait for it no longer; the two between are for the time that publishing takes."""
_OLD: Final = 8
DEAD: Final = 10
"""Intervals after which the files of the dead are removed."""
_KEPT: Final = 12
"""Intervals of which activity is told. What is older than `_OLD` is not settled, so that nobody misses a thing."""
_PENDING: Final = 10_000
_MODELS: Final = 100
_PROCESSES: Final = 1_000
"""Of whom as many are looked at in one pass; the dead no longer, once nobody needs what they told."""

Key = tuple[str | None, str, str]


class _Seen(NamedTuple):
    """The other processes, at one look.

    Attributes:
        to_ns: Up to when all of them have told what they did; None while one has not told anything yet.
        from_ns: From when on all that they did is known.
        activities: What they told.
    """

    to_ns: int | None
    from_ns: int
    activities: Sequence[Activity]


class EnergyAccount:
    """Joules of this process's inferences, and of nobody's.

    For one thread; `totals` is for any.
    """

    def __init__(self, folder: Path | None, interval: float, clock: Callable[[], int] = perf_counter_ns) -> None:
        """Open an account at 0.

        Args:
            folder: Shared by the processes of the host; None where there is none, and then nothing is claimed.
            interval: Seconds between two settlements; it is taken as 0.01 at least and 600 at most.
            clock: In nanoseconds; the same in all processes of the host.
        """
        self._folder = folder
        self._interval_ns = max(SHORTEST_NS, min(round(interval * 1e9), LONGEST_NS))
        self._clock = clock
        self._say_crowded = OnceAMinute(clock)
        self._own: Own | None = None
        self._reset()

    def _reset(self) -> None:
        self._totals: dict[Key, float] = {}
        self._curves: dict[str, Curve] = {}
        self._unread_since: dict[str, int] = {}
        self._gone: frozenset[str] = frozenset()
        self._pending: list[Interval] = []
        self._begin()

    def _begin(self) -> None:
        """Begin to tell, with nothing told so far."""
        self._told_to_ns = self._dropped_to_ns = 0
        self._pace_ns = self._interval_ns
        self._work: list[Work] = []
        self._claimed_to: dict[str, int] = {}
        self._joined_ns = 0

    def totals(self) -> Mapping[Key, float]:
        """Joules since the start by model, state (`active`, `idle`) and source (`counter`, `power`).

        The model is None for inferences without one, and for idle energy.
        """
        return self._totals

    def settle(
        self,
        now_ns: int,
        intervals: Iterable[tuple[str | None, int, int | None]],
        uses: Collection[str],
        samples: Mapping[str, EnergySample],
        held: bool,
    ) -> None:
        """Tell the others what was active up to now, and claim what all have told of. Never raises for a bad folder.

        Args:
            now_ns: When this pass began; each inference that was active before it is among the intervals.
            intervals: Model, start and end in nanoseconds of each inference that has ended since the last call, and,
                with None for its end, of each that is active.
            uses: UUIDs of the physical GPUs that this process uses.
            samples: By UUID, what the GPUs have used; of the lease holder.
            held: Whether this process holds the lease.
        """
        if self._folder is None:
            return
        self._pending = [*self._pending[-_PENDING:], *(Interval(*interval) for interval in intervals)]
        self._tell(self._folder, now_ns, frozenset(sorted(uses)[:GPUS]))
        self._pending = [one for one in self._pending if one.end_ns is not None and one.end_ns > self._told_to_ns]
        if self._own is None:
            return
        self._read_curves(self._folder)
        if held:
            longest_ns = LATE * self._interval_ns
            for gpu, sample in samples.items():
                self._curves[gpu] = continued(self._curves.get(gpu), sample, longest_ns)
        self._claim(self._look(self._folder, self._own), held)
        if held:
            self._own.publish_curves(self._curves)

    def close(self) -> None:
        """Take part no longer; the totals stay."""
        if self._own is not None:
            self._own.leave()
        self._own = None
        self._begin()

    def after_fork(self) -> None:
        """In a child: begin anew, at 0."""
        if self._own is not None:
            self._own.after_fork()
        self._own = None
        self._reset()

    def _tell(self, folder: Path, now_ns: int, gpus: frozenset[str]) -> None:
        if self._own is None or not self._own.kept():
            self.close()
            with suppress(OSError):
                self._own = Own(folder)
                # Only now, as whoever looked before the file was there may have settled all up to then.
                self._joined_ns = self._clock()
                self._publish(self._joined_ns, [])
            return
        since_ns = self._told_to_ns
        if now_ns <= since_ns:
            return
        new = () if self._is_late(since_ns, GAP, now_ns) or not gpus else work(self._pending, gpus, since_ns, now_ns)
        if self._publish(now_ns, [*self._work, *new]) and self._is_late(since_ns, _TOO_LATE):
            self._work = [one for one in self._work if one.slice.end_ns <= since_ns]
            self._publish(now_ns, self._work)

    def _is_late(self, since_ns: int, intervals: int, now_ns: int = 0) -> bool:
        return max(now_ns, self._clock()) - since_ns > intervals * self._interval_ns

    def _publish(self, to_ns: int, done: list[Work]) -> bool:
        assert self._own is not None
        drop = bounded([one.slice for one in done], to_ns - _KEPT * self._pace_ns)
        dropped_to_ns = done[drop - 1].slice.end_ns if drop else self._dropped_to_ns
        told = Activity(to_ns, dropped_to_ns, self._interval_ns, tuple(one.slice for one in done[drop:]))
        if not self._own.publish_activity(told):
            return False
        self._told_to_ns, self._dropped_to_ns, self._work = to_ns, dropped_to_ns, done[drop:]
        return True

    def _read_curves(self, folder: Path) -> None:
        # Before the other processes are looked for: one that joins later has no part in what these curves tell.
        names = (participants.names(folder) or frozenset()) - self._gone
        found = (participants.curves(folder, name, self._clock) for name in names)
        recent_ns = self._clock() - _KEPT * self._pace_ns
        self._curves = {gpu: one for gpu, one in newest(self._curves, *found).items() if one.to_ns > recent_ns}

    def _look(self, folder: Path, own: Own) -> _Seen:
        """Look at the others, and remove what the dead have left."""
        now_ns = self._clock()  # before their words are read: what was not told by then is late
        names = participants.names(folder)
        if names is None:
            return self._crowded(folder)
        self._gone &= names
        left = sorted(names - self._gone - {own.name})
        others = [participants.participant(folder, name, self._clock) for name in left[:_PROCESSES]]
        # Who told something once may be unreadable for a moment, and is waited for as long as one who never did.
        self._unread_since = {
            one.name: self._unread_since.get(one.name, now_ns) for one in others if one.activity is None
        }
        alive = [one.activity for one in others if one.alive and one.activity is not None]
        self._pace_ns = max([self._interval_ns, *(one.interval_ns for one in alive)])
        # By a clock that is read after their words: what others have removed in the time that took is older.
        to_ns, from_ns = self._told_to_ns, max(self._dropped_to_ns, self._clock() - _OLD * self._pace_ns)
        all_told, gone = True, set[str]()
        for one in others:
            quiet_ns = now_ns - (one.activity.published_to_ns if one.activity else self._unread_since[one.name])
            if one.activity is not None:
                from_ns = max(from_ns, one.activity.dropped_to_ns)
            if not one.alive:
                if quiet_ns > DEAD * self._pace_ns:
                    participants.forget(folder, one.name)
                    gone.add(one.name)  # also where its files stay, as those of another user do
            elif one.activity is None:
                all_told = all_told and quiet_ns > LATE * self._pace_ns
            elif quiet_ns <= LATE * one.activity.interval_ns:
                to_ns = min(to_ns, one.activity.published_to_ns)
        self._gone |= gone
        if len(left) > _PROCESSES:
            return self._crowded(folder)
        activities = [one.activity for one in others if one.activity is not None]
        return _Seen(to_ns if all_told else None, from_ns, activities)

    def _crowded(self, folder: Path) -> _Seen:
        """What is seen where not everybody can be looked at: nothing, as someone's part would be claimed."""
        if self._say_crowded():
            _logger.warning(
                Constant(f"otelext: energy is not shared out: {folder} can't be read, or holds too many files")
            )
        return _Seen(None, 0, ())

    def _claim(self, seen: _Seen, held: bool) -> None:
        if seen.to_ns is None:
            return
        totals = dict(self._totals)
        for gpu, curve in self._curves.items():
            to_ns = min(seen.to_ns, curve.to_ns)
            since_ns = self._claimed_to.get(gpu, self._joined_ns)
            active_ns = max(since_ns, min(seen.from_ns, to_ns)), max(since_ns, to_ns)
            idle_ns = max(curve.idle_to_ns, min(seen.from_ns, to_ns)), max(curve.idle_to_ns, to_ns)
            if not held:
                idle_ns = active_ns[0], active_ns[0]
            own = [one for one in self._work if gpu in one.slice.gpus]
            if own or held:
                others = [_on(gpu, activity.slices) for activity in seen.activities]
                _add(totals, shares(curve.pieces(), own, others, active_ns, idle_ns))
            self._claimed_to[gpu] = active_ns[1]
            if held:
                self._curves[gpu] = curve._replace(idle_to_ns=idle_ns[1])
        self._totals = totals


def _on(gpu: str, slices: Iterable[Slice]) -> list[Slice]:
    return [one for one in slices if gpu in one.gpus]


def _add(totals: dict[Key, float], gained: Shares) -> None:
    active = (((model, semconv.ENERGY_ACTIVE, source), joules) for (model, source), joules in gained.active.items())
    idle = (((None, semconv.ENERGY_IDLE, source), joules) for source, joules in gained.idle.items())
    for key, joules in chain(active, idle):
        known = key in totals or len(totals) < 2 * _MODELS
        place = key if known else (semconv.OTHER, *key[1:])
        totals[place] = totals.get(place, 0.0) + joules
