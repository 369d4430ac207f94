from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from otelext.gpu.energy import participants
from otelext.gpu.energy.account import DEAD, GAP, LATE, EnergyAccount
from otelext.gpu.folder import LockFile
from otelext.gpu.snapshot import EnergySample
from tests.gpu.energy.host import GPU, SECOND, Host, passes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_energy_of_an_inference_goes_to_its_model_and_the_rest_is_idle(host: Host) -> None:
    process = host.process()
    process.infers("vlm", 2.25, 4.5)
    passes(host, process, count=8)
    assert process.account.totals() == {
        ("vlm", "active", "counter"): pytest.approx(225),
        (None, "idle", "counter"): pytest.approx(7 * 100 - 225),
    }


def test_joules_of_two_processes_agree_with_the_sum_by_hand(tmp_path: Path) -> None:
    host = Host(tmp_path, watts=lambda second: 60.0 if second < 5 else 300.0)
    first, second = host.process(), host.process()
    passes(host, first, [second])
    first.infers("a", 2, 8)
    first.infers("b", 4, 6)
    second.infers("a", 3, 7)
    second.infers(None, 9, 10)
    passes(host, first, [second], count=12)
    # 2 to 3 s: a alone. 3 to 4: halves. 4 to 6: thirds, of 60 W and then of 300 W. 6 to 7: halves. 7 to 8: a alone.
    assert first.joules("active", "a") == pytest.approx(60 + 30 + 20 + 100 + 150 + 300, rel=0.02)
    assert first.joules("active", "b") == pytest.approx(20 + 100, rel=0.02)
    assert second.joules("active", "a") == pytest.approx(30 + 20 + 100 + 150, rel=0.02)
    assert second.joules("active", None) == pytest.approx(300, rel=0.02)
    assert second.joules("idle") == 0
    assert first.joules() + second.joules() == pytest.approx(host.joules(13) - host.joules(1), rel=1e-9)


inference = st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 15000), st.integers(1, 6000))
process_of_schedule = st.tuples(st.lists(inference, max_size=12), st.integers(0, 8), st.sampled_from([1, 1, 2, 3]))


@hypothesis_settings(max_examples=40)
@given(processes=st.lists(process_of_schedule, min_size=1, max_size=4))
def test_processes_together_never_claim_more_than_the_gpu_used(
    tmp_path_factory: pytest.TempPathFactory, processes: list[tuple[list[tuple[str | None, int, int]], int, int]]
) -> None:
    host = Host(tmp_path_factory.mktemp("host"), watts=lambda second: 50.0 + 10 * int(second))
    holder, members = host.process(), []
    passes(host, holder)
    for turn in range(20):
        for inferences, joins, _ in processes:
            if joins == turn:
                members.append(host.process())
                for model, start, length in inferences:
                    members[-1].infers(model, start / 1000, (start + length) / 1000)
        ready = [one for place, one in enumerate(members) if turn % processes[place % len(processes)][2] == 0]
        passes(host, holder, ready)
        everything = sum(one.joules() for one in [holder, *members])
        assert everything <= (host.joules(host.seconds) - host.joules(1)) * (1 + 1e-9)
    passes(host, holder, members, count=2)
    everything = sum(one.joules() for one in [holder, *members])
    assert everything == pytest.approx(host.joules(host.seconds - 1) - host.joules(1), rel=0.1)


event = st.tuples(st.integers(0, 4), st.sampled_from([0, 100, 900, 1000, 1100, 3500, 7000]), st.integers(0, 30))


@hypothesis_settings(max_examples=100)
@given(
    events=st.lists(event, min_size=10, max_size=60), inferences=st.lists(st.lists(inference), min_size=5, max_size=5)
)
def test_no_order_of_passes_delays_and_deaths_claims_more_than_the_gpu_used(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[int, int, int]],
    inferences: list[list[tuple[str | None, int, int]]],
) -> None:
    host = Host(tmp_path_factory.mktemp("host"), watts=lambda second: 50.0 + 10 * int(second))
    members = [host.process() for _ in inferences]
    for member, given_to in zip(members, inferences, strict=True):
        for model, start, length in given_to:
            member.infers(model, start / 1000, (start + length) / 1000)
    holder, gone = members[0], 0.0
    for who, later, dies in events:
        host.now_ns += later * SECOND // 1000
        member = members[who]
        if dies == 0:
            member.account.close()
            gone += member.joules()
            members[who] = host.process()
        elif member is holder or holder not in members:
            holder = member
            member.settles(host.sample(), held=True)
        else:
            member.settles()
        used = host.joules(host.seconds)
        assert gone + sum(one.joules() for one in members) <= used * (1 + 1e-9)


def test_an_inference_that_ended_while_the_account_was_settled_is_not_cut_off(host: Host) -> None:
    process = host.process()
    passes(host, process)
    end_ns = host.start_ns + round(2.5 * SECOND)
    host.now_ns += SECOND
    process.account.settle(host.now_ns, [("vlm", host.now_ns - SECOND // 2, end_ns)], {GPU}, host.sample(), True)
    passes(host, process, count=3)
    assert process.joules("active") == pytest.approx(100)


def test_a_process_whose_model_runs_elsewhere_claims_nothing(host: Host) -> None:
    process = host.process(uses=())
    process.infers("remote", 1, 5)
    passes(host, process, count=6)
    assert process.joules("active") == 0
    assert process.joules("idle") == pytest.approx(500)


def test_inferences_on_another_gpu_share_nothing(host: Host) -> None:
    here, elsewhere = host.process(), host.process(uses=["GPU-1"])
    for process in (here, elsewhere):
        process.infers("vlm", 2, 4)
    passes(host, here, [elsewhere], count=6)
    assert here.joules("active") == pytest.approx(200)
    assert elsewhere.joules() == 0


def test_a_process_that_joins_in_the_middle_of_a_window_shares_from_then_on(host: Host) -> None:
    old = host.process()
    old.infers("vlm", 1, 6)
    passes(host, old, count=2)
    host.now_ns += SECOND // 2
    young = host.process()
    young.infers("vlm", 2.5, 6)
    young.settles()
    passes(host, old, [young], count=6)
    assert old.joules("active") == pytest.approx(150 + 350 / 2)
    assert young.joules("active") == pytest.approx(350 / 2)


def test_nobody_settles_what_a_slow_process_has_not_told_yet(host: Host) -> None:
    holder, slow = host.process(), host.process()
    slow.infers("vlm", 1, 3)
    passes(host, holder, [slow])
    passes(host, holder, count=GAP - 1)
    assert holder.joules() == 0
    passes(host, holder, [slow], count=2)
    assert slow.joules("active") == pytest.approx(200)


def test_one_that_was_stopped_is_not_waited_for_and_claims_nothing_for_the_gap(host: Host) -> None:
    holder, stopped = host.process(), host.process()
    stopped.infers("slept", 1, 15)
    holder.infers("vlm", 1, 15)
    passes(host, holder, [stopped], count=2)
    passes(host, holder, count=LATE + 2)
    assert holder.joules("active") > 50 + 500
    passes(host, holder, [stopped], count=6)
    passes(host, holder)
    together = holder.joules() + stopped.joules()
    assert together <= 100 * (host.seconds - 1) * (1 + 1e-9)
    # It came back at 11 s, too late for what it had told of 1 to 2 s.
    assert stopped.joules("active") == pytest.approx(4 * 50)


def test_one_that_is_late_by_more_than_the_gap_claims_nothing_for_it_though_the_others_still_wait(host: Host) -> None:
    holder, slow = host.process(), host.process()
    slow.infers("vlm", 1, 20)
    passes(host, holder, [slow])
    passes(host, holder, count=GAP)
    passes(host, holder, [slow], count=3)
    assert slow.joules("active") == pytest.approx(100)


def test_one_that_has_joined_and_told_nothing_yet_is_waited_for_until_it_is_late(host: Host) -> None:
    assert host.folder is not None
    holder = host.process()
    passes(host, holder)
    silent = LockFile(host.folder / f"{1:016x}.lock")
    assert silent.take()
    passes(host, holder, count=LATE)
    assert holder.joules() == 0
    passes(host, holder, count=2)
    silent.release()
    assert holder.joules() > 0


@pytest.mark.parametrize("what", [b"", None])
def test_one_whose_word_can_not_be_read_is_waited_for_until_it_is_late(host: Host, what: bytes | None) -> None:
    assert host.folder is not None
    holder, other = host.process(), host.process()
    for process in (holder, other):
        process.infers("vlm", 1, 30)
    passes(host, holder, [other], count=LATE + 4)
    before = holder.joules()
    (word,) = (path for path in host.folder.glob("*.json") if not path.with_suffix(".samples").exists())
    if what is None:
        word.unlink()
    else:
        word.write_bytes(what)
    passes(host, holder)
    assert holder.joules() == before
    passes(host, holder, [other], count=2)
    assert holder.joules("active") == pytest.approx(50 * (host.seconds - 1))
    assert other.joules("active") == pytest.approx(50 * (host.seconds - 2))
    assert holder.joules() + other.joules() <= 100 * (host.seconds - 1) * (1 + 1e-9)


@pytest.mark.parametrize("call", range(1, 13))
def test_wherever_in_a_pass_a_process_is_stopped_it_claims_nothing_of_what_others_have_forgotten(
    host: Host, call: int
) -> None:
    holder, dies, goes_on = host.process(), host.process(), host.process()
    holder.infers("vlm", 1, 2)
    dies.infers("vlm", 1, 2)
    passes(host, holder, [dies, goes_on])
    # The holder has not claimed what all did from 1 to 2 s; the one that dies has.
    passes(host, holder)
    goes_on.settles()
    dies.settles()
    dies.account.close()
    assert dies.joules() == pytest.approx(50)
    calls = 0

    def clock() -> int:
        nonlocal calls
        calls += 1
        read_ns = host.now_ns
        if calls == call:
            host.now_ns += (DEAD + 2) * SECOND
            goes_on.settles()
        return read_ns

    host.now_ns += SECOND // 2
    holder.account._clock = clock
    holder.settles(host.sample(), held=True)
    passes(host, holder, [goes_on], count=2)
    assert holder.joules() + dies.joules() <= 100 * (host.seconds - 1) * (1 + 1e-9)
    assert holder.joules("active") <= 50 * (1 + 1e-9)


def test_one_that_dies_is_not_waited_for_and_what_it_told_still_counts(host: Host) -> None:
    holder, dies = host.process(), host.process()
    for process in (holder, dies):
        process.infers("vlm", 1, 4)
    passes(host, holder, [dies], count=2)
    dies.account.close()
    passes(host, holder, count=3)
    assert holder.joules("active") == pytest.approx(50 + 200)


def test_files_of_the_dead_are_removed_when_nobody_needs_them(host: Host) -> None:
    assert host.folder is not None
    holder, dies = host.process(), host.process()
    passes(host, holder, [dies])
    dies.account.close()
    passes(host, holder, count=DEAD - 1)
    assert len(list(host.folder.iterdir())) == 5
    passes(host, holder, count=3)
    assert sorted(path.suffix for path in host.folder.iterdir()) == [".json", ".lock", ".samples"]


@pytest.mark.parametrize(("source", "bridged"), [("counter", True), ("power", False)])
def test_the_next_holder_goes_on_with_a_counter_and_begins_anew_with_power(
    host: Host, source: str, bridged: bool
) -> None:
    first, second = host.process(), host.process()
    second.infers("vlm", 1, 20)

    def epoch(process: str) -> str:
        return process if source == "power" else ""

    for _ in range(4):
        host.now_ns += SECOND
        second.settles()
        first.settles(host.sample(source, epoch("first")), held=True)
    first.account.close()
    host.now_ns += 2 * SECOND
    for _ in range(4):
        second.settles(host.sample(source, epoch("second")), held=True)
        host.now_ns += SECOND
    gap = 0 if bridged else 200
    assert second.joules("active") == pytest.approx(100 * 8 - gap)
    assert {key[2] for key in second.account.totals()} == {source}


def test_idle_energy_is_counted_once_over_a_change_of_holders(host: Host) -> None:
    first, second = host.process(), host.process()
    passes(host, first, [second], count=4)
    first.account.close()
    passes(host, second, count=4)
    assert first.joules("idle") + second.joules("idle") == pytest.approx(700)


def test_a_counter_that_was_set_back_takes_and_gives_nothing(host: Host) -> None:
    process = host.process()
    process.infers("vlm", 1, 20)
    passes(host, process, count=3)
    for _ in range(3):
        host.now_ns += SECOND
        process.settles(host.sample(base=-300.0), held=True)
    assert process.joules("active") == pytest.approx(400)


def test_without_a_folder_nothing_is_claimed() -> None:
    host = Host(None)
    process = host.process()
    process.infers("vlm", 1, 5)
    passes(host, process, count=6)
    assert process.account.totals() == {}


def test_in_a_folder_that_is_gone_nothing_is_claimed(tmp_path: Path) -> None:
    host = Host(tmp_path / "gone")
    process = host.process()
    process.infers("vlm", 1, 5)
    passes(host, process, count=6)
    assert process.account.totals() == {}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_in_a_folder_that_can_not_be_written_nothing_is_claimed() -> None:
    host = Host(Path("/proc/self"))  # where not even root can
    process = host.process()
    process.infers("vlm", 1, 5)
    passes(host, process, count=6)
    assert process.account.totals() == {}


def test_garbage_in_the_folder_disturbs_nobody(host: Host) -> None:
    folder = host.folder
    assert folder is not None
    contents = [b"", b"{", b"[" * 100_000, b"null", b"7" * 300_000, b'{"activity":{}}', b"\xff\xfe", b'{"boot":1}']
    for place, content in enumerate(contents):
        for end in (".lock", ".json", ".samples"):
            (folder / f"{place:016x}{end}").write_bytes(content)
    os.mkfifo(folder / f"{90:016x}.json")
    (folder / f"{91:016x}.json").symlink_to("/dev/zero")
    (folder / f"{92:016x}.lock").mkdir()
    process = host.process()
    process.infers("vlm", 2, 4)
    passes(host, process, count=6)
    assert process.joules("active") == pytest.approx(200)
    passes(host, process, count=DEAD)
    assert len([path for path in folder.iterdir() if path.is_file()]) == 3


def test_too_many_files_stop_the_account_and_not_the_program_until_they_are_known(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    assert host.folder is not None
    process = host.process()
    process.infers("vlm", 1, 100)
    passes(host, process)
    for place in range(1100):  # of the dead, of another user
        (host.folder / f"{place:016x}.lock").mkdir()
    passes(host, process, count=2)
    assert process.account.totals() == {}
    assert caplog.messages == [
        f"otelext: energy is not shared out: {host.folder} can't be read, or holds too many files"
    ]
    passes(host, process, count=3 * DEAD)
    assert process.joules("active") > 0


def test_what_another_user_left_is_looked_at_until_it_is_known_to_be_dead(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host.folder is not None
    process = host.process()
    for place in range(100):
        (host.folder / f"{place:016x}.lock").mkdir()
    passes(host, process, count=DEAD + 3)
    looked: list[Path] = []

    def is_held(path: Path) -> bool:
        looked.append(path)
        return False

    monkeypatch.setattr(participants, "is_held", is_held)
    passes(host, process)
    assert looked == []
    assert len(list(host.folder.glob("*.lock"))) == 101


def test_a_folder_with_more_than_is_looked_at_stops_the_account(host: Host) -> None:
    assert host.folder is not None
    process = host.process()
    process.infers("vlm", 1, 100)
    passes(host, process)
    for place in range(4100):
        (host.folder / str(place)).touch()
    passes(host, process, count=DEAD + 3)
    assert process.account.totals() == {}


@pytest.mark.parametrize("interval", [0.004, 900.0])
def test_at_any_interval_the_others_know_what_a_process_does(host: Host, interval: float) -> None:
    rare, holder = host.process(interval=interval), host.process(interval=interval)
    for process in (rare, holder):
        process.infers("vlm", 0, 20 * interval)
    passes(host, holder, [rare], count=6, step=interval)
    assert rare.joules("active") == pytest.approx(holder.joules("active"), rel=0.5)
    assert rare.joules("active") > 0
    assert rare.joules() + holder.joules() <= 100 * host.seconds * (1 + 1e-9)


def test_a_process_whose_files_were_removed_joins_again(host: Host) -> None:
    assert host.folder is not None
    holder, other = host.process(), host.process()
    other.infers("vlm", 1, 20)
    passes(host, holder, [other], count=4)
    before = other.joules("active")
    for path in host.folder.iterdir():
        path.unlink()
    passes(host, holder, [other], count=6)
    assert before < other.joules("active") <= 900
    assert len(list(host.folder.glob("*.lock"))) == 2
    assert other.joules() + holder.joules() <= 900 * (1 + 1e-9)


def test_a_busy_process_publishes_little_and_keeps_its_sum(host: Host) -> None:
    assert host.folder is not None
    busy, other = host.process(), host.process()
    for place in range(6000):
        busy.infers(f"m{place % 3}", 1 + place / 1000, 1 + place / 1000 + 0.0005)
    other.infers("vlm", 1, 7)
    passes(host, busy, [other], count=8)
    assert max(path.stat().st_size for path in host.folder.iterdir()) < 256 * 1024
    # Half of the time there are two. Merged: there always is half an inference beside the other.
    assert busy.joules("active") == pytest.approx(600 / 3, rel=0.02)
    assert other.joules("active") == pytest.approx(600 * 2 / 3, rel=0.02)


def test_models_are_bounded(host: Host) -> None:
    process = host.process()
    for place in range(1000):
        process.infers(f"m{place}", 1, 4)
    passes(host, process, count=5)
    totals = process.account.totals()
    assert len(totals) < 210
    assert ("other", "active", "counter") in totals
    assert sum(totals.values()) == pytest.approx(400)


def test_the_folder_tells_no_name_of_a_model_and_is_open_to_all_users(host: Host) -> None:
    assert host.folder is not None
    process = host.process()
    process.infers("secret", 1, 5)
    before = os.umask(0o077)
    try:
        passes(host, process, count=3)
    finally:
        os.umask(before)
    for path in host.folder.iterdir():
        assert "secret" not in path.read_text(encoding="utf-8")
        assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_words_of_another_boot_are_not_believed(host: Host) -> None:
    assert host.folder is not None
    process = host.process()
    process.infers("vlm", 1, 5)
    passes(host, process, count=2)
    host.now_ns += SECOND // 2
    old = {"published_to_ns": host.now_ns, "dropped_to_ns": 0, "interval_ns": SECOND, "gpus": [[GPU]]}
    old["slices"] = [[host.now_ns - SECOND // 2, host.now_ns, 1, 0]]
    (host.folder / f"{7:016x}.json").write_text(json.dumps({"boot": "another", "activity": old}), encoding="utf-8")
    curves = {GPU: {"idle_to_ns": 0, "longest_ns": SECOND, "samples": [[host.now_ns, 1e9, "counter", ""]]}}
    (host.folder / f"{7:016x}.samples").write_text(json.dumps({"boot": "another", "curves": curves}), encoding="utf-8")
    passes(host, process, count=4)
    assert process.joules("active") == pytest.approx(400)


# --- real processes ---------------------------------------------------------------------------------------------------

MEMBER = """
import sys, time
from pathlib import Path
from otelext.gpu.energy import participants
from otelext.gpu.energy.account import EnergyAccount
account = EnergyAccount(Path(sys.argv[1]), float(sys.argv[2]))
begun = time.perf_counter_ns()
while True:
    account.settle(time.perf_counter_ns(), [("theirs", begun, None)], {"GPU-0"}, {}, False)
    print(sum(account.totals().values()), flush=True)
    time.sleep(float(sys.argv[2]) / 2)
"""


@pytest.fixture
def member(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with an inference that never ends; it prints its joules after each pass."""
    with subprocess.Popen(
        [sys.executable, "-c", MEMBER, str(tmp_path), "0.1"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


class Real:
    """This process as the holder, of a GPU of 100 W, with an inference that never ends."""

    def __init__(self, folder: Path) -> None:
        self.account = EnergyAccount(folder, 0.1)
        self.begun_ns = time.perf_counter_ns()

    def settles(self) -> float:
        now_ns = time.perf_counter_ns()
        sample = EnergySample(now_ns, (now_ns - self.begun_ns) / 1e7, "counter", "")
        self.account.settle(now_ns, [("ours", self.begun_ns, None)], {GPU}, {GPU: sample}, True)
        return sum(self.account.totals().values())

    def used(self) -> float:
        return (time.perf_counter_ns() - self.begun_ns) / 1e7

    def until_it_gains(self, joules: float) -> None:
        goal, deadline = self.settles() + joules, time.monotonic() + 30
        while self.settles() < goal:
            assert time.monotonic() < deadline, f"{self.account.totals()} of {self.used()} J"
            time.sleep(0.02)


def test_a_process_killed_by_sigkill_holds_nobody_up(tmp_path: Path, member: subprocess.Popen[str]) -> None:
    ours = Real(tmp_path)
    ours.until_it_gains(20)
    member.send_signal(signal.SIGKILL)
    member.wait()
    ours.until_it_gains(50)


def test_a_process_stopped_by_sigstop_holds_nobody_up_and_does_not_claim_the_gap(
    tmp_path: Path, member: subprocess.Popen[str]
) -> None:
    ours = Real(tmp_path)
    ours.until_it_gains(20)
    member.send_signal(signal.SIGSTOP)
    ours.until_it_gains(150)
    member.send_signal(signal.SIGCONT)
    ours.until_it_gains(20)
    member.send_signal(signal.SIGKILL)
    assert member.stdout is not None
    theirs = max(float(line) for line in member.stdout.read().split("\n")[:-1])
    assert theirs > 0
    assert theirs + ours.settles() <= ours.used()


def test_a_forked_child_takes_part_as_another_process_and_begins_at_zero(tmp_path: Path) -> None:
    program = """
import os, sys, time
from pathlib import Path
from otelext.gpu.energy import participants
from otelext.gpu.energy.account import EnergyAccount
from otelext.gpu.snapshot import EnergySample
clock = [10**12]
account = EnergyAccount(Path(sys.argv[1]), 1.0, lambda: clock[0])
def passes(count, held):
    for _ in range(count):
        clock[0] += 10**9
        sample = {"GPU-0": EnergySample(clock[0], clock[0] / 1e7, "counter", "")}
        account.settle(clock[0], [("vlm", 10**12, None)], {"GPU-0"}, sample, held)
passes(4, True)
assert round(sum(account.totals().values())) == 300, account.totals()
child = os.fork()
if child == 0:
    account.after_fork()
    assert account.totals() == {}
    passes(1, False)
    os._exit(0 if len(list(Path(sys.argv[1]).glob("*.lock"))) == 2 else 1)
assert os.waitpid(child, 0)[1] == 0
passes(2, True)
assert round(sum(account.totals().values())) == 500, account.totals()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(tmp_path)], check=True, timeout=60)
