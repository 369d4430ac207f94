from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from otelext.doctor import disks

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20


@pytest.fixture
def statvfs(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """Size and free bytes of each place."""
    sizes: dict[str, tuple[int, int]] = {}

    def answer(place: str) -> Any:
        if place not in sizes:
            raise OSError(place)
        size, free = sizes[place]
        return os.statvfs_result((4096, 4096, size // 4096, 0, free // 4096, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", answer)
    return sizes


def test_a_full_disk_is_named_and_no_other(tmp_path: Path, statvfs: dict[str, tuple[int, int]]) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw,relatime 0 0\n"
        "/dev/sdb1 /var/lib/my\\040data xfs rw 0 0\n"
        "/dev/loop0 /snap/core squashfs ro 0 0\n"
        "server:/x /mnt nfs4 rw 0 0\n"
        "tmpfs /run/lock tmpfs rw 0 0\n"
        "/dev/cdrom /media iso9660 ro 0 0\n"
        "/dev/sdc1 /gone ext4 rw 0 0\n"
        "/dev/sdd1 /readonly ext4 ro,noatime 0 0\n"
        "proc /proc proc rw 0 0\n"
    )
    statvfs |= {
        "/": (10_000 * MIB, 500 * MIB),
        "/var/lib/my data": (10_000 * MIB, 8 * MIB),
        "/readonly": (10_000 * MIB, 0),
    }
    statvfs |= dict.fromkeys(("/snap/core", "/mnt", "/media", "/proc"), (100 * MIB, 0))
    statvfs["/run/lock"] = (5 * MIB, 4 * MIB)
    assert disks.full_disks(mounts) == ("/var/lib/my data",)


def test_where_nothing_lists_them_the_root_is_looked_at(tmp_path: Path, statvfs: dict[str, tuple[int, int]]) -> None:
    statvfs["/"] = (10_000 * MIB, 0)
    assert disks.full_disks(tmp_path / "missing") == ("/",)


def test_a_small_disk_is_full_when_little_of_it_is_left(tmp_path: Path, statvfs: dict[str, tuple[int, int]]) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("tmpfs /data tmpfs rw 0 0\n")
    statvfs["/data"] = (20 * MIB, 12 * MIB)
    assert disks.full_disks(mounts) == ()
    statvfs["/data"] = (20 * MIB, MIB)
    assert disks.full_disks(mounts) == ("/data",)
