"""GPU memory as PyTorch's allocator of this process has it, where torch is loaded and uses a GPU already.

https://docs.pytorch.org/docs/stable/notes/cuda.html#memory-management
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def allocated(visible: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """UUID of the device, `allocated` or `reserved`, and bytes. Never imports torch, and never makes it use a GPU.

    Args:
        visible: UUIDs of the devices that this process sees, in CUDA's order, for a torch that does not tell UUIDs.
    """
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return
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
