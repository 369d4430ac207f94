"""Xid errors, which NVML tells as events: https://docs.nvidia.com/deploy/xid-errors/."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.gpu.nvml import OF_DEVICE, OF_SESSION, NvmlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otelext.gpu.devices import Gpu
    from otelext.gpu.nvml import Nvml

_MOST: Final = 100
"""Events taken in a pass; the rest waits in the driver."""
_MOST_FAILURES: Final = 3
"""A GPU that is gone fails each call on the set, and its last words may still be in there."""


class Xids:
    """The events of all GPUs, by one set.

    Attributes:
        missing: Why GPUs tell none, by UUID.
    """

    def __init__(self, nvml: Nvml, gpus: Iterable[Gpu]) -> None:
        self.missing: dict[str, str] = {}
        self._set: Any = None
        self._registered = False
        gpus = tuple(gpus)
        # A GPU that has fallen off the bus says so by an event, and can't be asked for its UUID any more.
        self._uuids = {_address(gpu.handle): gpu.device.uuid for gpu in gpus}
        try:
            self._set = nvml.call("nvmlEventSetCreate")
        except NvmlError as error:
            self.missing = {gpu.device.uuid: error.name for gpu in gpus}
            return
        for gpu in gpus:
            try:
                nvml.call("nvmlDeviceRegisterEvents", gpu.handle, nvml.nvmlEventTypeXidCriticalError, self._set)
            except NvmlError as error:
                self.missing[gpu.device.uuid] = error.name
            else:
                self._registered = True

    def take(self, nvml: Nvml) -> Iterator[tuple[str, str]]:
        """UUID and `error.type` of each event since the last call; it doesn't wait for any."""
        failures = 0
        for _ in range(_MOST if self._registered else 0):
            try:
                event = nvml.call("nvmlEventSetWait_v2", self._set, 0)
            except NvmlError as error:
                if error.name in OF_SESSION:
                    raise
                failures += 1
                if error.name not in OF_DEVICE or failures == _MOST_FAILURES:
                    return
                continue
            uuid = self._uuids.get(_address(event.device))
            if uuid is not None:
                yield uuid, semconv.XID.format(number=event.eventData)

    def close(self, nvml: Nvml) -> None:
        """Give the set back."""
        if self._set is not None:
            with suppress(NvmlError):
                nvml.call("nvmlEventSetFree", self._set)


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
