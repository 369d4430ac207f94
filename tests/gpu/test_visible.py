from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.gpu.snapshot import Device
from otelext.gpu.visible import visible_devices


def gpu(index: int, uuid: str, parent: str | None = None) -> Device:
    return Device(uuid, "NVIDIA H100", index, f"00000000:0{index}:00.0", parent)


G0 = gpu(0, "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6")
G1 = gpu(1, "GPU-8932aaaa-d72c-4106-c12f-20bd9faed9f6")
G2 = gpu(2, "GPU-1faf8fbe-d72c-4106-c12f-20bd9faed9f6")
M0 = gpu(2, "MIG-5e1b9e39-1111-5f1e-9f2c-0c2d7b2b3c4d", G2.uuid)
M1 = gpu(2, "MIG-5e1baaaa-1111-5f1e-9f2c-0c2d7b2b3c4d", G2.uuid)
PLAIN = (G0, G1, gpu(2, G2.uuid), gpu(3, "GPU-33333333"))
WITH_MIG = (G0, G1, G2, M0, M1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("0", [0]),
        ("2,1", [2, 1]),
        (" 2 , 1 ", [2, 1]),
        ("0,2,-1,1", [0, 2]),  # the guide's own example
        ("0,7,1", [0]),
        ("0,,1", [0]),
        ("0,x,1", [0]),
        ("1gpu,2nd", [1, 2]),
        ("+1", [1]),
        ("1,1", []),
        ("", []),
        (" ", []),
        ("-1", []),
        ("none", []),
        ("NoDevFiles", []),
        ("99999999999999999999", []),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", [0]),
        ("GPU-8932f", [0]),
        ("GPU-1faf,GPU-8932a", [2, 1]),
        ("GPU-8932", []),  # two begin so
        ("GPU-", []),
        ("GPU-1faf,GPU-1faf8", []),
        ("GPU-1faf,0", [2]),
        ("0,GPU-1faf", [0]),
        ("GPU-1faf,GPU-none,GPU-8932a", [2]),
        ("MIG-5e1b9e39-1111-5f1e-9f2c-0c2d7b2b3c4d", []),
    ],
)
def test_gpus_are_named_as_cuda_names_them(value: str | None, expected: list[int]) -> None:
    assert [device.index for device in visible_devices(value, PLAIN)] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [G0, G1, M0, M1]),
        ("2", [M0]),
        ("GPU-1faf", [M0]),
        (M1.uuid, [M1]),
        (f"{M1.uuid},{M0.uuid}", [M1, M0]),
        ("MIG-5e1b9", [M0]),
        ("MIG-5e1b", []),
        (f"{M1.uuid},0", [M1]),
        (f"{M1.uuid},{M1.uuid}", []),
        (f"MIG-{G2.uuid}/1/0", [G2]),
        ("MIG-GPU-none/1/0", []),
    ],
)
def test_mig_devices_are_named_as_cuda_names_them(value: str | None, expected: list[Device]) -> None:
    assert visible_devices(value, WITH_MIG) == tuple(expected)


@given(st.text() | st.lists(st.sampled_from(["0", "2", "-1", "GPU-1faf", M0.uuid, "x", ""])).map(",".join))
def test_whatever_is_set_gives_different_devices_of_this_host(value: str) -> None:
    found = visible_devices(value, WITH_MIG)
    assert len(set(found)) == len(found)
    assert set(found) <= set(WITH_MIG)
    assert visible_devices(value, ()) == ()


@given(st.permutations(range(4)), st.integers(0, 4))
def test_numbers_give_their_devices_in_their_order(order: list[int], count: int) -> None:
    value = ",".join(map(str, order[:count]))
    assert visible_devices(value, PLAIN) == tuple(PLAIN[index] for index in order[:count])
