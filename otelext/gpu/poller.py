"""The one thread that calls NVML, and what it found last: exports read that, and wait for no driver."""

from __future__ import annotations

import logging
import threading
import uuid
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, Protocol

from otelext.gpu.nvml import NoNvmlError, Nvml, NvmlError
from otelext.gpu.session import LONGEST_GAP, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from otelext.gpu.reader import Totals
    from otelext.gpu.snapshot import EnergySample, Snapshot

    Intervals = Callable[[], Iterable[tuple[str | None, int, int | None]]]

_logger = logging.getLogger("otelext")
_SLOWEST_AGAIN: Final = 12
"""Intervals between two attempts to begin again, at most."""
_REPORTED_AGAIN_NS: Final = 60 * 10**9
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
        self._forking = False
        self._nvml = Nvml()
        self._session: Session | None = None
        self._stopped = threading.Event()
        self._in_pass = threading.Lock()
        self._since_ns = perf_counter_ns()
        self._reported_ns = 0
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
        if call is None or now - call.since_ns < self.interval * 1e9:
            return
        if self._reported_ns and now - self._reported_ns < _REPORTED_AGAIN_NS:
            return
        self._reported_ns = now
        seconds = (now - call.since_ns) / 1e9
        _logger.warning(
            "otelext: %s has not returned for %.1f s; the GPUs were last read %.1f s ago", call.name, seconds, age
        )

    def before_fork(self) -> None:
        """Wait a moment for the call that is under way, so that the child inherits no lock of the driver's library."""
        self._forking = self._in_pass.acquire(timeout=_BEFORE_FORK_S)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._forking:
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
        failures = 0
        stopped = self._stopped
        while not stopped.is_set():
            try:
                self._begin()
                while True:
                    failures = self._pass(failures)
                    if stopped.wait(self.interval):
                        break
            except NoNvmlError as error:
                _logger.info("otelext: no GPU telemetry: %s", error)
                return
            except NvmlError as error:
                if not self._announced:
                    _logger.info("otelext: no GPU telemetry: %s", error)
                    return
                if failures == 0:
                    _logger.warning("otelext: the GPUs can't be read any more: %s; it is tried again", error)
                failures += 1
                stopped.wait(self.interval * min(2 ** (failures - 1), _SLOWEST_AGAIN))
            except Exception:
                _logger.warning("otelext: reading the GPUs failed and has ended", exc_info=True)
                return
            finally:
                self._end()

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
            self._announced = True
            self._lease, self._account = self._share()
            self._found()

    def _pass(self, failures: int) -> int:
        session = self._session
        assert session is not None  # begun
        held = self._lease is not None and self._lease.hold()
        with self._in_pass:
            # Where nothing can be shared with others, a process still knows its own energy.
            snapshot, samples = session.read(everything=held or self._lease is None)
        if failures:
            _logger.info("otelext: the GPUs are read again")
        self.held = held
        self.snapshot = snapshot
        if self._account is not None:
            now_ns = perf_counter_ns()
            self._account.settle(now_ns, self._intervals(), self._uses(snapshot), samples, held)
        return 0

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
            self._nvml.close()
        if self._stopped.is_set() and self._lease is not None:
            self._lease.release()
