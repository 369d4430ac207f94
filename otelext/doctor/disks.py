"""Disks of this machine that are full: what a store's end looks like from outside, as it dies of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mounts")
FULL: Final = 16 * 2**20
"""Bytes below which a store finds no room any more: they write in files of many megabytes."""
# What may hang when asked, and what holds nobody's data.
_LEFT_OUT: Final = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "cifs",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "iso9660",
        "mqueue",
        "nfs",
        "nfs4",
        "nsfs",
        "proc",
        "pstore",
        "ramfs",
        "rpc_pipefs",
        "securityfs",
        "smb3",
        "squashfs",
        "sysfs",
        "tracefs",
    ]
)


def full_disks(mounts: Path = MOUNTS) -> tuple[str, ...]:
    """Where the file systems are mounted that are written to and have no space left.

    Args:
        mounts: The list of them, as Linux has it; where there is none, only the root is looked at.
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        places = ["/"]
    else:
        fields = (line.split(" ") for line in lines)
        places = [
            # https://man7.org/linux/man-pages/man5/fstab.5.html: a space is written as an octal number.
            place.replace("\\040", " ")
            for _, place, kind, options, *_ in fields
            if kind not in _LEFT_OUT and not kind.startswith("fuse.") and "ro" not in options.split(",")
        ]
    return tuple(place for place in dict.fromkeys(places) if _is_full(place))


def _is_full(place: str) -> bool:
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    size = found.f_blocks * found.f_frsize
    # Those that are as small when they are empty, as the tmpfs of a lock or of a secret, are no store's.
    return size >= FULL and found.f_bavail * found.f_frsize < min(FULL, size // 8)
