"""PyTorch's bytes, where the user's program has it loaded."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from otelext.gpu.allocator import allocated
from otelext.gpu.minute import OnceAMinute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DIGITS = "11111111-2222-3333-4444-555555555555"


class Cuda:
    """`torch.cuda`, as far as it is asked."""

    def __init__(self, uuids: Sequence[object], *, initialized: bool = True) -> None:
        self._uuids = uuids
        self._initialized = initialized

    def is_initialized(self) -> bool:
        return self._initialized

    def device_count(self) -> int:
        assert self._initialized, "asked before torch uses a GPU"
        return len(self._uuids)

    def get_device_properties(self, number: int) -> SimpleNamespace:
        uuid = self._uuids[number]
        return SimpleNamespace() if uuid is None else SimpleNamespace(uuid=uuid)

    def memory_allocated(self, number: int) -> int:
        return 100 + number

    def memory_reserved(self, number: int) -> int:
        return 200 + number


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    def put(cuda: object) -> None:
        module = ModuleType("torch")
        module.cuda = cuda  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torch", module)

    return put


def test_torch_is_not_imported_to_be_asked() -> None:
    program = """
import sys
from otelext.gpu.allocator import allocated
from otelext.gpu.minute import OnceAMinute
assert allocated(["GPU-0"]) == []
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_torch_that_uses_no_gpu_yet_is_left_alone(torch: Callable[[object], None]) -> None:
    torch(Cuda([DIGITS], initialized=False))
    assert allocated(["GPU-0"]) == []


def test_a_torch_without_cuda_tells_nothing(torch: Callable[[object], None]) -> None:
    torch(None)
    assert allocated(["GPU-0"]) == []


def test_something_else_that_is_called_torch_tells_nothing(
    torch: Callable[[object], None], caplog: pytest.LogCaptureFixture
) -> None:
    torch(SimpleNamespace())
    assert allocated(["GPU-0"]) == []
    assert not caplog.messages


def test_allocated_and_reserved_bytes_by_torchs_own_uuid(torch: Callable[[object], None]) -> None:
    torch(Cuda([DIGITS]))
    found = allocated(["GPU-0", f"GPU-{DIGITS}"])
    assert found == [(f"GPU-{DIGITS}", "allocated", 100), (f"GPU-{DIGITS}", "reserved", 200)]


def test_the_digits_that_torch_tells_may_be_a_mig_devices(torch: Callable[[object], None]) -> None:
    torch(Cuda([DIGITS]))
    assert {uuid for uuid, _, _ in allocated([f"MIG-{DIGITS}"])} == {f"MIG-{DIGITS}"}


def test_a_torch_that_tells_no_uuid_is_matched_by_the_order_of_what_is_visible(torch: Callable[[object], None]) -> None:
    torch(Cuda([None, None]))
    assert allocated(["GPU-b", "GPU-a"]) == [
        ("GPU-b", "allocated", 100),
        ("GPU-b", "reserved", 200),
        ("GPU-a", "allocated", 101),
        ("GPU-a", "reserved", 201),
    ]


def test_a_device_that_is_not_known_is_left_out(torch: Callable[[object], None]) -> None:
    torch(Cuda([None, None]))
    assert {uuid for uuid, _, _ in allocated(["GPU-a"])} == {"GPU-a"}


def test_a_torch_that_fails_tells_nothing_and_is_spoken_of_once(
    torch: Callable[[object], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelext.gpu.allocator._say", OnceAMinute())

    class Broken(Cuda):
        def memory_allocated(self, number: int) -> int:
            raise RuntimeError("CUDA error: unspecified launch failure")

    torch(Broken([DIGITS]))
    for _ in range(3):
        assert allocated([f"GPU-{DIGITS}"]) == []
    (message,) = caplog.messages
    assert "unspecified launch failure" in message
