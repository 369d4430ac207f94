"""Workers that multiprocessing starts export what they did, in each of its ways."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.distro.processes import plain

if TYPE_CHECKING:
    from pathlib import Path

    from tests.otlp_receiver import OtlpReceiver

PROGRAM = """
import multiprocessing, sys
import otelext

otelext.configure(instrument=False)

def work():
    with otelext.inference("chat", model="m"):
        pass

if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_workers_inference_arrives(receiver: OtlpReceiver, tmp_path: Path, method: str) -> None:
    program = tmp_path / "service.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), method]
    subprocess.run(command, env=plain(receiver.endpoint), check=True, timeout=60)
    receiver.wait_for(lambda: [span.name for span in receiver.spans] == ["chat m"], "the worker's span")
