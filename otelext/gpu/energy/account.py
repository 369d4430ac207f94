"""This process's part of the energy, settled pass by pass, some way behind the present."""

from __future__ import annotations

import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.gpu.energy.board import Board
from otelext.gpu.energy.curve import MOST_SAMPLES, stretches
from otelext.gpu.energy.shares import Numbers, shared_out
from otelext.gpu.energy.steps import steps, within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from otelext.gpu.energy.board import Participant
    from otelext.gpu.energy.steps import Interval, Step, Window
    from otelext.gpu.snapshot import EnergySample

_logger = logging.getLogger("otelext")
LATE: Final = 3
"""Intervals after which a process that has told nothing says nothing of that time any more, and claims nothing."""
LEFT_BEHIND: Final = 6
"""Intervals after which the others don't wait for it any longer."""
REMEMBERED: Final = 10
"""Intervals for which it is remembered when inferences ran."""


class EnergyAccount:
    """Shares out what the GPUs use.

    All processes with a part in a GPU tell when their inferences ran, and each reckons its own part of a stretch of time
    once all have told it. Since what was told is not changed any more, all of them reckon with the same numbers, and
    their parts and what was idle add up to what the GPU used.
    """

    def __init__(self, folder: Path | None, interval: float, clock: Callable[[], int] = perf_counter_ns) -> None:
        """Open an account.

        Args:
            folder: The one that the host's processes share; None for this process alone.
            interval: Seconds between two settlements.
            clock: That of all processes, in nanoseconds.
        """
        self._folder = folder
        self._interval_ns = round(interval * 1e9)
        self._clock = clock
        self._open()

    def _open(self) -> None:
        self._board = None if self._folder is None else Board(self._folder)
        self._joined = False
        self._begun_ns = self._to_ns = 0
        self._activity: list[Step] = []
        self._used: dict[str, list[Window]] = {}
        self._samples: dict[str, list[EnergySample]] = {}
        self._settled: dict[str, int] = {}
        self._pending: list[Interval] = []
        self._failed = False
        self._totals: dict[tuple[str | None, str, str], float] = {}

    def totals(self) -> Mapping[tuple[str | None, str, str], float]:
        """Joules so far by model (None for idle energy and where there is none), state and source."""
        return dict(self._totals)

    def after_fork(self) -> None:
        """Open another account, in the child."""
        if self._board is not None:
            self._board.leave(unlink=False)
        self._open()

    def close(self) -> None:
        """Have the others wait for this process no more."""
        if self._board is not None:
            self._board.leave()

    def settle(
        self,
        now_ns: int,
        intervals: Iterable[Interval],
        uses: Collection[str],
        samples: Mapping[str, EnergySample],
        held: bool,
    ) -> None:
        """Tell what ran until now, and reckon what can be.

        Args:
            now_ns: The present.
            intervals: Inferences that ended since the last call, and those that are open.
            uses: UUIDs of the physical GPUs that this process uses.
            samples: Their energy now, where this process reads it.
            held: Whether this process exports the GPUs of the host.
        """
        try:
            self._settle(now_ns, intervals, uses, samples, held)
        except OSError as error:
            if not self._failed:
                _logger.warning("otelext: energy can't be shared with other processes (%s); none is claimed", error)
            self._failed = True

    def _settle(
        self,
        now_ns: int,
        intervals: Iterable[Interval],
        uses: Collection[str],
        samples: Mapping[str, EnergySample],
        held: bool,
    ) -> None:
        board = self._board
        if board is not None:
            board.join()
        if not self._joined:
            # Not before the others can know of this process: what they reckon until then is none of its.
            self._joined = True
            self._begun_ns = self._to_ns = self._clock()
            if board is not None:
                board.publish(self._interval_ns / 1e9, self._to_ns, (), {})
        found = [*self._pending, *intervals]
        # What ended after `now_ns` still has a part to come.
        self._pending = [one for one in found if one[2] is not None and one[2] > now_ns]
        self._note(now_ns, found, uses)
        others = [] if board is None else board.others(now_ns)
        self._take(samples, held)
        self._reckon(now_ns, others, held)

    def _note(self, now_ns: int, found: Iterable[Interval], uses: Collection[str]) -> None:
        """Put down and tell what ran since the last time; what was told before is not changed."""
        begin_ns = self._to_ns
        if now_ns <= begin_ns:
            return
        oldest = now_ns - REMEMBERED * self._interval_ns
        activity, used = list(self._activity), {gpu: list(windows) for gpu, windows in self._used.items()}
        if now_ns - begin_ns <= LATE * self._interval_ns:
            activity += steps(begin_ns, now_ns, found)
            for gpu in uses:
                windows = used.setdefault(gpu, [])
                if windows and windows[-1][1] == begin_ns:
                    windows[-1] = (windows[-1][0], now_ns)
                else:
                    windows.append((begin_ns, now_ns))
        while len(activity) > 1 and activity[1].at_ns <= oldest:
            activity.pop(0)
        used = {gpu: kept for gpu, windows in used.items() if (kept := [one for one in windows if one[1] > oldest])}
        if self._board is not None:
            self._board.publish(self._interval_ns / 1e9, now_ns, activity, used)
        # What could not be told is nobody's.
        self._activity, self._used, self._to_ns = activity, used, now_ns

    def _take(self, samples: Mapping[str, EnergySample], held: bool) -> None:
        if self._board is not None:
            self._samples = self._board.samples()
        elif not samples:
            self._samples = {}
        for gpu, sample in samples.items():
            self._samples[gpu] = [*self._samples.get(gpu, ()), sample][-MOST_SAMPLES:]
        if self._board is not None and held and samples:
            self._board.tell_samples(self._samples)

    def _reckon(self, now_ns: int, others: Iterable[Participant], held: bool) -> None:
        told_ns, counted = self._to_ns, []
        for other in others:
            interval_ns = max(self._interval_ns, round(other.interval * 1e9))
            behind = now_ns - other.to_ns
            if other.alive and (other.to_ns == 0 or behind <= LEFT_BEHIND * interval_ns):
                told_ns = min(told_ns, other.to_ns)
            elif not other.alive and behind > REMEMBERED * interval_ns:
                if held and self._board is not None:
                    self._board.remove(other)
                continue
            counted.append(other)
        for gpu, samples in self._samples.items():
            begin_ns = self._settled.get(gpu, self._begun_ns)
            end_ns = min(told_ns, samples[-1].at_ns) if samples else 0
            if end_ns <= begin_ns:
                continue
            self._settled[gpu] = end_ns
            numbers = [other.devices.get(gpu, Numbers([], [])) for other in counted]
            own = within(self._activity, self._used.get(gpu, ()))
            shares = shared_out(begin_ns, end_ns, stretches(samples), own, numbers)
            for (model, source), joules in shares.active.items():
                self._add(model, semconv.ENERGY_ACTIVE, source, joules)
            if held or self._board is None:
                for source, joules in shares.idle.items():
                    self._add(None, semconv.ENERGY_IDLE, source, joules)

    def _add(self, model: str | None, state: str, source: str, joules: float) -> None:
        key = model, state, source
        self._totals[key] = self._totals.get(key, 0.0) + joules
