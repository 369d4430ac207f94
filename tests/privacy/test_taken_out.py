"""Each redaction is needed: where one is taken out, the canary test finds the secrets of the places that it is for."""

from __future__ import annotations

import subprocess
from select import select
from typing import TYPE_CHECKING

import pytest

from tests.distro.processes import BIN
from tests.privacy.mutations import MUTATIONS
from tests.privacy.running import LOG_FILE, Left, Receiver, new_secrets, read, steered
from tests.privacy.traces_of import every, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER_S = 40.0


@pytest.fixture(scope="module")
def left_without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Left]]:
    """Gives what leaves where the redaction of a name is taken out, nothing if the name is empty."""
    folder = tmp_path_factory.mktemp("mutated")
    with Receiver() as receiver:
        left = Left(new_secrets(), receiver)
        with (
            steered(left, folder, OTEL_METRIC_EXPORT_INTERVAL="3600000") as env,
            (folder / "errors").open("w") as errors,
            subprocess.Popen(
                [str(BIN / "opentelemetry-instrument"), "python", "-m", "tests.privacy.mutated"],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            asked, answers = process.stdin, process.stdout

            def without(name: str) -> Left:
                receiver.clear()
                before, lines_before = len(read(folder / "errors")), len(read(folder / LOG_FILE))
                print(name, file=asked, flush=True)
                assert select([answers], [], [], ANSWER_S)[0], f"no answer:\n{read(folder / 'errors')[-5000:]}"
                assert answers.readline() == "flushed\n", read(folder / "errors")
                found = Left(left.secrets, receiver)
                found.output = read(folder / "errors")[before:]
                found.file = read(folder / LOG_FILE)[lines_before:]
                return found

            try:
                yield without
            finally:
                process.kill()


@pytest.mark.parametrize("redaction", MUTATIONS)
def test_without_a_redaction_secrets_leave(redaction: str, left_without: Callable[[str], Left]) -> None:
    found = every(left_without(redaction).traces)
    assert MUTATIONS[redaction].places <= found, f"not found: {sorted(MUTATIONS[redaction].places - found)}"


def test_with_all_redactions_none_leaves(left_without: Callable[[str], Left]) -> None:
    left = left_without("")
    assert left.receiver.spans
    assert left.receiver.points
    assert left.receiver.logs
    assert not left.traces, said(left.traces)
