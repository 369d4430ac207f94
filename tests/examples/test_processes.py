from __future__ import annotations

import os
import sys

import pytest

from document_vlm.processes import Process, ProcessDied
from tests.examples.serving import until


def start(tmp_path, code: str) -> Process:
    return Process("the program", [sys.executable, "-u", "-c", code], tmp_path / "output.log", os.environ)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_process_that_died_is_said_with_its_last_lines(tmp_path):
    with start(tmp_path, "import sys; print('one'); print('no weights', file=sys.stderr); sys.exit(7)") as process:
        with pytest.raises(ProcessDied, match=r"the program ended with exit status 7(?s:.*)one\n  no weights"):
            process.wait_for(lambda: None, "a sign", 20)
        with pytest.raises(ProcessDied):
            process.check()


def test_a_process_that_is_not_ready_in_time_is_said(tmp_path):
    with (
        start(tmp_path, "import time; time.sleep(60)") as process,
        pytest.raises(ProcessDied, match=r"the program: a sign is missing after 0\.3 s\. It wrote nothing\."),
    ):
        process.wait_for(lambda: None, "a sign", 0.3)


def test_a_program_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ProcessDied, match=r"the program can't be started: .*no-such-program"):
        Process("the program", ["no-such-program"], tmp_path / "output.log", os.environ)


def test_stopping_lets_it_finish(tmp_path):
    code = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(4))\nprint('up')\ntime.sleep(60)"
    process = start(tmp_path, code)
    process.wait_for(lambda: "up" in process.output() or None, "its output", 20)
    assert process.stop() == 4
    assert process.stop() == 4


def test_one_that_does_not_end_is_killed_with_what_it_started(tmp_path):
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(15, signal.SIG_IGN)\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)\n"
        "time.sleep(60)"
    )
    process = start(tmp_path, code)
    process.wait_for(lambda: process.output().strip() or None, "its child", 20)
    child = int(process.output())
    assert is_running(child)
    assert process.stop(0.2) == -9
    until(lambda: not is_running(child) or None, "the child's end")
