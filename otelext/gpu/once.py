"""The GPUs as they are now, for whoever looks at them once: the command line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from otelext.gpu.nvml import Nvml
from otelext.gpu.session import Session

if TYPE_CHECKING:
    from otelext.gpu.snapshot import Snapshot


def read_once(apart: float = 0.1) -> Snapshot:
    """Read everything of all GPUs, whoever exports them. It takes as long as the driver does.

    Args:
        apart: Seconds between two passes, of which the second counts: what tells of the time between them, such as the
            activity of tensor cores, and counters, which begin at 0, needs both. 0 for a single pass.

    Raises:
        NoNvmlError: There is no NVML, or no GPU.
        NvmlError: NVML doesn't answer.
    """
    nvml = Nvml()
    nvml.open()
    try:
        session = Session(nvml, {}, longest_gap_ns=int(1e9 + 2e9 * apart), epoch="")
        try:
            snapshot, _ = session.read(everything=True)
            if apart > 0:
                time.sleep(apart)
                snapshot, _ = session.read(everything=True)
            return snapshot
        finally:
            session.close()
    finally:
        nvml.close()
