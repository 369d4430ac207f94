from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from otelext.gpu.lease import Lease, holder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys, time
from pathlib import Path
from otelext.gpu.lease import Lease
lease = Lease(Path(sys.argv[1]), "the other")
print(lease.hold(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def run(program: str, folder: Path) -> str:
    command = [sys.executable, "-W", "ignore", "-c", program, str(folder)]
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout


def test_the_first_gets_the_lease_and_keeps_it(tmp_path: Path) -> None:
    first, second = Lease(tmp_path, "first"), Lease(tmp_path, "second")
    assert first.hold()
    assert not second.hold()
    assert first.hold()
    first.release()
    assert second.hold()
    assert not first.hold()
    second.release()


def test_the_lease_is_taken_over_at_the_next_try_after_sigkill(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    lease = Lease(tmp_path, "ours")
    assert not lease.hold()
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert lease.hold()
    lease.release()


def test_a_stopped_holder_keeps_the_lease(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    assert not Lease(tmp_path, "ours").hold()
    assert time.monotonic() - started < 5


def test_people_are_told_who_holds_it(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    found = holder(tmp_path)
    assert found is not None
    assert (found.pid, found.label) == (other.pid, "the other")
    assert found.since.startswith("20")
    other.kill()
    other.wait()
    assert holder(tmp_path) is None


def test_to_ask_who_holds_it_does_not_cost_the_holder_its_lease(tmp_path: Path) -> None:
    lease = Lease(tmp_path, "ours")
    assert holder(tmp_path) is None
    assert lease.hold()
    found = holder(tmp_path)
    assert found is not None
    assert (found.pid, found.label) == (os.getpid(), "ours")
    program = "import sys; from pathlib import Path; from otelext.gpu.lease import Lease; "
    assert run(program + "print(Lease(Path(sys.argv[1]), '').hold())", tmp_path) == "False\n"
    lease.release()


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "missing") is None


def test_a_holder_that_writes_nonsense_is_a_holder_without_a_name(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    (tmp_path / "lease").write_text('{"pid": "one", "label": 3}', encoding="utf-8")
    assert holder(tmp_path) == (0, "", "")
    (tmp_path / "lease").write_bytes(b"\xff" * 400_000)
    assert holder(tmp_path) == (0, "", "")


def test_a_forked_child_does_not_hold_its_parents_lease(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from otelext.gpu.lease import Lease
lease = Lease(Path(sys.argv[1]), "parent")
assert lease.hold()
for told in (True, False):  # also where nobody told it that it is a child
    child = os.fork()
    if child == 0:
        if told:
            lease.after_fork()
        os._exit(7 if lease.hold() else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
assert lease.hold()
print(os.path.getsize(Path(sys.argv[1], "lease")) > 0)
"""
    assert run(program, tmp_path) == "True\n"


def test_a_child_of_a_dead_parent_takes_the_lease_over(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from otelext.gpu.lease import Lease
lease = Lease(Path(sys.argv[1]), "parent")
assert lease.hold()
alive, parent = os.pipe()
if os.fork() == 0:
    os.close(parent)
    os.read(alive, 1)  # ends when the parent does
    lease.after_fork()
    while not lease.hold():
        pass
    print("taken", flush=True)
os._exit(0)
"""
    assert run(program, tmp_path) == "taken\n"


def test_all_users_may_open_the_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    lease = Lease(tmp_path, "x" * 1000)
    try:
        assert lease.hold()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lease").stat().st_mode) == 0o666
    assert len(json.loads((tmp_path / "lease").read_text(encoding="utf-8"))["label"]) == 200
    lease.release()


def test_of_two_that_hold_after_the_file_was_removed_one_is_left(tmp_path: Path) -> None:
    first, second = Lease(tmp_path, "first"), Lease(tmp_path, "second")
    assert first.hold()
    (tmp_path / "lease").unlink()
    assert second.hold()
    assert not first.hold()
    assert second.hold()
    second.release()


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "nothing"])
def test_what_is_no_regular_file_gives_no_lease_and_is_said_once(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "lease"
    if what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    folder = tmp_path / "missing" if what == "nothing" else tmp_path
    lease = Lease(folder, "ours")
    assert not lease.hold()
    assert not lease.hold()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("otelext: this process exports no GPU of this host, as it can't lock ")
    assert str(folder / "lease") in caplog.messages[0]
    assert holder(folder) is None
    assert not (tmp_path / "elsewhere").exists()


def test_a_lease_that_another_one_holds_is_nothing_to_report(
    tmp_path: Path, other: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert not Lease(tmp_path, "ours").hold()
    assert caplog.messages == []


def test_a_folder_is_one_by_whatever_path(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    (tmp_path / "mount").symlink_to(tmp_path)
    lease = Lease(tmp_path / "mount", "ours")
    assert not lease.hold()
    other.kill()
    other.wait()
    assert lease.hold()
    found = holder(tmp_path)
    assert found is not None
    assert found.label == "ours"
    lease.release()
