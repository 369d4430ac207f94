"""One exporter a host."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from otelext.gpu.folder import shared_folder
from otelext.gpu.lease import Lease, holder

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from otelext.gpu.lease import Lease
lease = Lease(Path(sys.argv[1]), "reader")
for line in sys.stdin:
    print(lease.hold(), flush=True)
"""


class Process:
    """Another process that tries to hold the lease whenever it is asked."""

    def __init__(self, folder: Path) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hold(self) -> bool:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return self.child.stdout.readline() == "True\n"

    def kill(self) -> None:
        self.child.kill()
        self.child.communicate()


@pytest.fixture
def process() -> object:
    started: list[Process] = []

    def start(folder: Path) -> Process:
        started.append(Process(folder))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def test_one_process_has_it_until_it_is_killed(process, tmp_path: Path) -> None:
    one, other = process(tmp_path), process(tmp_path)
    assert one.hold()
    assert not other.hold()
    assert one.hold()
    one.child.send_signal(signal.SIGKILL)
    one.child.wait()
    assert other.hold()


def test_it_is_the_folder_that_counts_not_the_path_to_it(process, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "mount").symlink_to(tmp_path / "folder")
    one, other = process(tmp_path / "folder"), process(tmp_path / "mount")
    assert one.hold()
    assert not other.hold()


def test_a_forked_child_does_not_inherit_it(process, tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    assert lease.hold()
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        lease.after_fork()
        os.write(writes, b"1" if lease.hold() else b"0")
        os.read(reads, 0)
        os._exit(0)
    assert os.read(reads, 1) == b"0"
    os.waitpid(child, 0)
    assert not process(tmp_path).hold()
    lease.release()
    assert process(tmp_path).hold()
    os.close(reads)
    os.close(writes)


def test_the_holder_says_who_it_is(process, tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    one = process(tmp_path)
    assert one.hold()
    found = holder(tmp_path)
    assert found is not None
    assert (found.pid, found.label) == (one.child.pid, "reader")
    assert found.since.endswith("+00:00")
    one.kill()
    assert holder(tmp_path) is None


def test_a_file_that_somebody_tidied_away_is_made_anew(process, tmp_path: Path) -> None:
    one, other = process(tmp_path), process(tmp_path)
    assert one.hold()
    (tmp_path / "lease").unlink()
    assert other.hold()
    assert not one.hold()


def test_a_file_that_can_not_be_opened_is_no_lease_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "lease").symlink_to("/etc/passwd")
    lease = Lease(tmp_path)
    assert not lease.hold()
    assert lease.failure
    (tmp_path / "lease").unlink()
    os.mkfifo(tmp_path / "lease")
    assert not lease.hold()
    assert "no plain file" in lease.failure


def test_the_folder_is_for_all_users_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        folder = shared_folder(str(tmp_path / "made" / "gpus"))
        assert folder is not None
        lease = Lease(folder)
        assert lease.hold()
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert stat.S_IMODE((folder / "lease").stat().st_mode) == 0o666
    lease.release()


def test_a_folder_that_is_none_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert shared_folder(str(tmp_path / "file")) is None
    assert shared_folder(str(tmp_path / "file" / "below")) is None


def test_without_a_name_it_is_a_temporary_one() -> None:
    folder = shared_folder()
    assert folder is not None
    assert folder.name == "otelext-gpu"
