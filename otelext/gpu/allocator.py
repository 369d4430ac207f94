"""GPU memory as PyTorch's allocator of this process has it, where torch is loaded and uses a GPU already.

https://docs.pytorch.org/docs/stable/notes/cuda.html#memory-management
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from otelext import semconv
from otelext.constant import Constant
from otelext.gpu.minute import OnceAMinute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_logger = logging.getLogger("otelext")
_say = OnceAMinute()


def allocated(visible: Sequence[str]) -> list[tuple[str, str, int]]:
    """UUID of the device, `allocated` or `reserved`, and bytes. Never imports torch, and never makes it use a GPU.

    Nothing where torch fails, as after an error of CUDA that no later call survives.

    Args:
        visible: UUIDs of the devices that this process sees, in CUDA's order, for a torch that does not tell UUIDs.
    """
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    try:
        return list(_told(cuda, visible)) if hasattr(cuda, "is_initialized") and cuda.is_initialized() else []
    except Exception as error:  # noqa: BLE001  # torch's state is the user's business, and no error of ours
        if _say():
            _logger.warning(Constant(f"otelext: PyTorch does not tell its allocator's bytes: {error!r}"))
        return []


def _told(cuda: Any, visible: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    for number in range(cuda.device_count()):
        uuid = _uuid(cuda, number, visible)
        if uuid is not None:
            yield uuid, semconv.ALLOCATED, cuda.memory_allocated(number)
            yield uuid, semconv.RESERVED, cuda.memory_reserved(number)


def _uuid(cuda: Any, number: int, visible: Sequence[str]) -> str | None:
    told = str(getattr(cuda.get_device_properties(number), "uuid", ""))
    if told:
        return told if told.startswith(("GPU-", "MIG-")) else _known(told, visible)
    return visible[number] if number < len(visible) else None


def _known(told: str, visible: Sequence[str]) -> str:
    """Torch tells the digits alone, which a MIG device has too."""
    return next((uuid for uuid in visible if uuid.endswith(told)), f"GPU-{told}")
