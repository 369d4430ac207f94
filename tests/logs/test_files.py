"""A rotating file that several processes write loses no line and tears none."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from otelext.logs.files import RotatingFile
from tests.logs.programs import run

if TYPE_CHECKING:
    from pathlib import Path

PROCESSES, LINES = 4, 1500

WRITER = """
import logging, sys
from otelext.logs.install import install
install(file=sys.argv[1], file_size=20_000, file_count=500, level="info")
log = logging.getLogger("writer")
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    log.info("페이지", extra={"vlm.input.pages": number, "vlm.stage": sys.argv[2] * 20})
"""


def test_processes_that_write_one_file_lose_no_line_and_tear_none(tmp_path: Path) -> None:
    program = tmp_path / "writer.py"
    program.write_text(WRITER)
    file = tmp_path / "logs" / "service.log"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    names = [chr(ord("a") + n) for n in range(PROCESSES)]
    writers = [
        subprocess.Popen(
            [sys.executable, str(program), str(file), name, str(LINES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        for name in names
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # all at once
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        _, said = writer.communicate()
        assert writer.returncode == 0, said
        assert not said
    files = list(file.parent.glob("service.log*"))
    assert len(files) > 20, "it never rotated"
    written = [json.loads(line) for one in files for line in one.read_text().splitlines()]
    found = sorted((line["vlm.stage"], line["vlm.input.pages"]) for line in written)
    assert found == [(name * 20, number) for name in names for number in range(LINES)]
    assert all(one.stat().st_size < 21_000 for one in files)


def test_only_as_many_files_are_kept_as_were_asked_for(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "service.log", size=100, count=2)
    for number in range(100):
        file.write(f"line {number}")
    file.close()
    kept = sorted(one.name for one in tmp_path.glob("service.log*"))
    assert kept == ["service.log", "service.log.1", "service.log.2"]
    assert "line 99" in (tmp_path / "service.log").read_text()


def test_a_closed_file_is_opened_again_by_the_next_line(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "service.log", size=0, count=0)
    file.write("before")
    logging.shutdown([])
    file.close()
    file.write("after \udc80")
    file.close()
    assert (tmp_path / "service.log").read_text() == "before\nafter \\udc80\n"


def test_a_forked_child_writes_beside_its_parent(tmp_path: Path) -> None:
    run(
        tmp_path,
        f"""
install(file={str(tmp_path / "service.log")!r}, file_size=5_000, file_count=100)
log = logging.getLogger("parent")
log.warning("before")
pids = []
for child in range(3):
    if not (pid := os.fork()):
        for number in range(200):
            log.warning("from a child", extra={{"vlm.input.pages": number}})
        os._exit(0)
    pids.append(pid)
for number in range(200):
    log.warning("from the parent", extra={{"vlm.input.pages": number}})
assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
""",
    )
    lines = [json.loads(line) for one in tmp_path.glob("service.log*") for line in one.read_text().splitlines()]
    assert len(lines) == 801


def test_a_child_that_is_forked_while_others_write_does_not_hang(tmp_path: Path) -> None:
    run(
        tmp_path,
        f"""
import signal, threading
install(file={str(tmp_path / "service.log")!r}, file_size=500_000, file_count=5)
log, done = logging.getLogger("parent"), threading.Event()
def write():
    while not done.is_set():
        log.warning("from a thread")
threads = [threading.Thread(target=write) for _ in range(3)]
for thread in threads:
    thread.start()
hung = 0
for _ in range(20):
    if not (pid := os.fork()):
        signal.alarm(5)
        log.warning("from a child")
        os._exit(0)
    hung += os.waitpid(pid, 0)[1] != 0
done.set()
for thread in threads:
    thread.join()
assert not hung, hung
""",
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")  # noqa: PTH110
def test_a_full_disk_is_said_and_raises_nothing(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        f"""
install(file={str(tmp_path / "service.log")!r})
logging.config.dictConfig({{"version": 1, "disable_existing_loggers": False, "root": {{"handlers": []}},
    "handlers": {{"h": {{"class": "logging.StreamHandler"}}}}, "loggers": {{"otelext": {{"handlers": ["h"]}}}}}})
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
logging.warning("a line of %s", "a secret")
""",
    )
    assert "otelext could not write a log line (OSError)" in found.other
    assert "secret" not in found.other
