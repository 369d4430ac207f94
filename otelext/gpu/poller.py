"""The one thread that calls NVML, and what it found last: exports read that, and wait for no driver."""

from __future__ import annotations

import logging
import threading
import uuid
from contextlib import suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, Protocol

from otelext.constant import Constant
from otelext.gpu.minute import OnceAMinute
from otelext.gpu.nvml import NoNvmlError, Nvml, NvmlError
from otelext.gpu.session import LONGEST_GAP, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from otelext.gpu.snapshot import EnergySample, Snapshot
    from otelext.gpu.totals import Totals

    Intervals = Callable[[], Iterable[tuple[str | None, int, int | None]]]

_logger = logging.getLogger("otelext")
_SLOWEST_AGAIN: Final = 12
"""Intervals between two attempts to begin again, at most."""
_SHORTEST_REST: Final = 0.1
"""Intervals between two passes, at least, however long a pass takes."""
_BEFORE_FORK_S: Final = 0.1
STALE_AFTER: Final = 2
"""Intervals after which a snapshot says nothing any more."""


class Lease(Protocol):
    """Which process of the host exports its GPUs."""

    def hold(self) -> bool:
        """Take or keep it; whether this process has it."""
        raise NotImplementedError

    def after_fork(self) -> None:
        """Forget the parent's, in the child."""

    def release(self) -> None:
        """Give it to another process."""


class Account(Protocol):
    """Whose the energy is."""

    def totals(self) -> Mapping[tuple[str | None, str, str], float]:
        """Joules so far by model, state and source."""
        raise NotImplementedError

    def settle(
        self,
        now_ns: int,
        intervals: Iterable[tuple[str | None, int, int | None]],
        uses: Collection[str],
        samples: Mapping[str, EnergySample],
        held: bool,
    ) -> None:
        """Share out what was used."""

    def after_fork(self) -> None:
        """Forget the parent's, in the child."""


class Poller:
    """Reads the GPUs of this host every so often.

    Attributes:
        interval: Seconds between two passes.
        snapshot: What the last pass found; replaced as a whole, None before the first.
        held: Whether this process exports the GPUs of the host.
    """

    def __init__(
        self,
        interval: float = 5.0,
        *,
        share: Callable[[], tuple[Lease | None, Account | None]] = lambda: (None, None),
        intervals: Intervals = tuple,
        uses: Callable[[Snapshot], Collection[str]] = lambda _: (),
        found: Callable[[], object] = lambda: None,
    ) -> None:
        """Make a poller; `start` begins it.

        Args:
            interval: Seconds between two passes.
            share: Gives the lease, None where it can't be known which process exports, and then this one doesn't, and
                the account of whose the energy is. Called once, on the poller's thread, before `found`.
            intervals: The inferences of this process: model, start and end, by `time.perf_counter_ns`; each that has
                ended once, those that are open without an end.
            uses: UUIDs of the physical GPUs that this process uses.
            found: Called once, on the poller's thread, before the first pass.
        """
        self.interval = interval
        self.snapshot: Snapshot | None = None
        self.held = False
        self._share = share
        self._lease: Lease | None = None
        self._account: Account | None = None
        self._intervals = intervals
        self._uses = uses
        self._found = found
        self._totals: dict[str, Totals] = {}
        self._announced = False
        self._reset()

    def _reset(self) -> None:
        self._forking: int | None = None
        self._nvml = Nvml()
        self._session: Session | None = None
        self._stopped = threading.Event()
        self._in_pass = threading.Lock()
        self._since_ns = perf_counter_ns()
        self._say_hang, self._say_failure, self._say_unsettled = OnceAMinute(), OnceAMinute(), OnceAMinute()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, on a daemon thread."""
        if self._thread is None:
            self._since_ns = perf_counter_ns()
            self._thread = threading.Thread(target=self._run, name="otelext-gpu", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 0.0) -> None:
        """End after the pass that is under way.

        Args:
            timeout: Seconds to wait for that.
        """
        self._stopped.set()
        if self._thread is not None and timeout > 0:
            self._thread.join(timeout)

    def energy(self) -> Mapping[tuple[str | None, str, str], float]:
        """Joules so far by model (None where there is none), state and source."""
        return {} if self._account is None else self._account.totals()

    @property
    def age_s(self) -> float | None:
        """Seconds since the last pass began, or since the start; None where nothing is read here."""
        if self._thread is None or not self._thread.is_alive():
            return None
        taken = self._since_ns if self.snapshot is None else self.snapshot.taken_ns
        return (perf_counter_ns() - taken) / 1e9

    def fresh(self) -> Snapshot | None:
        """The snapshot, unless it is older than two intervals; says so in the log where a call hangs."""
        age = self.age_s
        if age is None:
            return None
        self._report_hang(age)
        return self.snapshot if age <= STALE_AFTER * self.interval else None

    def _report_hang(self, age: float) -> None:
        call, now = self._nvml.under_way, perf_counter_ns()
        if call is None or now - call.since_ns < self.interval * 1e9 or not self._say_hang():
            return
        seconds = (now - call.since_ns) / 1e9
        _logger.warning(
            Constant(
                f"otelext: {call.name} has not returned for {seconds:.1f} s; the GPUs were last read {age:.1f} s ago"
            )
        )

    def before_fork(self) -> None:
        """Wait a moment for the call that is under way, so that the child inherits no lock of the driver's library."""
        call = self._nvml.under_way
        hangs = call is not None and perf_counter_ns() - call.since_ns > _BEFORE_FORK_S * 1e9
        if self._in_pass.acquire(timeout=0 if hangs else _BEFORE_FORK_S):
            self._forking = threading.get_ident()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._forking == threading.get_ident():  # two threads may fork at one time
            self._forking = None
            self._in_pass.release()

    def after_fork_in_child(self) -> None:
        """Begin anew, with no thread, no lease and nothing counted."""
        running = self._thread is not None and not self._stopped.is_set()
        self.snapshot, self.held, self._totals = None, False, {}
        self._reset()
        for part in (self._lease, self._account):
            if part is not None:
                part.after_fork()
        if running:
            self.start()

    def _run(self) -> None:
        stopped, failures, said = self._stopped, 0, False
        while not stopped.is_set():
            try:
                self._begin()
                while not stopped.is_set():
                    began_ns = perf_counter_ns()
                    self._pass()
                    if said:
                        _logger.info("otelext: the GPUs are read again")
                    failures, said = 0, False
                    took = (perf_counter_ns() - began_ns) / 1e9
                    stopped.wait(max(self.interval - took, _SHORTEST_REST * self.interval))
            except Exception as error:  # noqa: BLE001  # whatever it is, it stays here
                if not self._announced:
                    self._give_up(error)
                    return
                if not said and self._say_failure():
                    said = True
                    self._warn("otelext: the GPUs can't be read any more: %s; it is tried again", error)
                failures += 1
            finally:
                self._end()
            if failures:
                stopped.wait(self.interval * min(2 ** (failures - 1), _SLOWEST_AGAIN))

    def _give_up(self, error: Exception) -> None:
        if isinstance(error, (NoNvmlError, NvmlError)):
            _logger.info(Constant(f"otelext: no GPU telemetry: {error}"))
        else:
            self._warn("otelext: no GPU telemetry: %r", error)

    @staticmethod
    def _warn(message: str, error: Exception) -> None:
        expected = isinstance(error, (NoNvmlError, NvmlError))
        _logger.warning(Constant(message % (error,)), exc_info=None if expected else error)

    def _begin(self) -> None:
        with self._in_pass:
            if self._announced:
                self._nvml.load_anew()
            self._nvml.open()
            try:
                self._session = Session(
                    self._nvml, self._totals, int(LONGEST_GAP * self.interval * 1e9), uuid.uuid4().hex
                )
            except BaseException:
                self._nvml.close()  # what stays initialised is not initialised again
                raise
        if not self._announced:
            self._lease, self._account = self._share()
            self._found()
            self._announced = True
            for index, error in self._session.unreached.items():
                _logger.warning(Constant(f"otelext: GPU {index} can't be reached: {error}"))

    def _pass(self) -> None:
        session = self._session
        assert session is not None  # begun
        held = self._lease is not None and self._lease.hold()
        with self._in_pass:
            snapshot, samples = session.read(everything=held)
        self.held = held
        self.snapshot = snapshot
        if self._account is not None:
            try:
                self._account.settle(perf_counter_ns(), self._intervals(), self._uses(snapshot), samples, held)
            except Exception as error:  # noqa: BLE001  # readings go on without it
                if self._say_unsettled():
                    self._warn("otelext: energy can't be shared out: %r", error)

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with self._in_pass:
                session.close()
                self._nvml.close()
        # Another process may be able to read what this one can't.
        self.held = False
        if self._lease is not None:
            with suppress(OSError):
                self._lease.release()
