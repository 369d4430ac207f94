"""The GPUs as they are now, for whoever looks at them: the command line. It takes no lease, and exports nothing."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from otelext.gpu.nvml import Nvml
from otelext.gpu.session import Session

if TYPE_CHECKING:
    from typing_extensions import Self

    from otelext.gpu.snapshot import Snapshot
    from otelext.gpu.totals import Totals

_PATIENCE_S: Final = 10.0
_CLOSES_WITHIN_S: Final = 2.0


class HangError(Exception):
    """A call of the driver does not return; the message names it."""


class Look:
    """Reads everything of all GPUs when asked to, on a daemon thread: a call of the driver may hang, and can't be ended.

    A context manager, at whose end NVML is given back.
    """

    def __init__(self, apart: float = 1.0) -> None:
        """Begin with nothing loaded.

        Args:
            apart: Seconds between two passes, as far as it is known; over twice as many the power that is read is
                taken for what was between.
        """
        self._longest_gap_ns = int(1e9 + 2e9 * apart)
        self._nvml = Nvml()
        self._session: Session | None = None
        self._totals: dict[str, Totals] = {}
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._answers: SimpleQueue[Snapshot | Exception] = SimpleQueue()
        self._awaited = False
        self._thread = threading.Thread(target=self._run, name="otelext-gpu-look", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.put(False)
        if not self._awaited:
            self._thread.join(_CLOSES_WITHIN_S)

    def first(self, apart: float = 0.1) -> Snapshot:
        """Make two passes, of which the second counts: what tells of the time between needs both, as activity does.

        Args:
            apart: Seconds between them; 0 for a single pass.

        Raises:
            NoNvmlError: There is no NVML, or no GPU.
            NvmlError: NVML fails.
            HangError: The driver does not return.
        """
        snapshot = self.again()
        if apart > 0:
            time.sleep(apart)
            snapshot = self.again()
        return snapshot

    def again(self, patience: float = _PATIENCE_S) -> Snapshot:
        """Make a pass, or go on to wait for the one that hung before. What failed is begun anew by the next pass.

        Args:
            patience: Seconds to wait for the driver.

        Raises:
            NoNvmlError: There is no NVML, or no GPU.
            NvmlError: NVML fails.
            HangError: The driver takes longer.
        """
        if not self._awaited:
            self._asked.put(True)
            self._awaited = True
        try:
            answer = self._answers.get(timeout=patience)
        except Empty:
            raise HangError(self._hangs()) from None
        self._awaited = False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _hangs(self) -> str:
        call = self._nvml.under_way
        if call is None:
            return "the driver is slow"
        return (
            f"the driver hangs: {call.name} has not returned for {(time.perf_counter_ns() - call.since_ns) / 1e9:.0f} s"
        )

    def _run(self) -> None:
        while self._asked.get():
            try:
                self._answers.put(self._pass())
            except Exception as error:  # noqa: BLE001  # whoever asked raises it
                self._close()
                self._answers.put(error)
        self._close()

    def _pass(self) -> Snapshot:
        if self._session is None:
            self._nvml.load_anew()
            self._nvml.open()
            self._session = Session(self._nvml, self._totals, self._longest_gap_ns, epoch="")
        return self._session.read(everything=True)[0]

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
        self._nvml.close()


def read_once(apart: float = 0.1) -> Snapshot:
    """What `Look.first` gives, and NVML given back."""
    with Look(apart) as look:
        return look.first(apart)
