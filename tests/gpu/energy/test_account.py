"""Accounts of several processes in one folder, on one clock."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from otelext.gpu.energy import EnergyAccount, board
from otelext.gpu.snapshot import EnergySample

if TYPE_CHECKING:
    from pathlib import Path

S = 10**9
GPU = "GPU-0"


class World:
    """A clock, a GPU that uses so many watts, and who is alive. Locks don't exclude within one process."""

    def __init__(self, folder: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.now = 100 * S
        self.watts = 100.0
        self.joules = 5000.0
        self.source, self.epoch = "counter", ""
        self.dead: set[str] = set()
        monkeypatch.setattr(board, "is_taken", lambda path: path.name.partition(".")[0] not in self.dead)

    def account(self) -> EnergyAccount:
        return EnergyAccount(self.folder, 1.0, clock=lambda: self.now)

    def die(self, account: EnergyAccount) -> None:
        assert account._board is not None
        self.dead.add(account._board._name)

    def go(self, seconds: float = 1.0) -> None:
        self.now += round(seconds * S)
        self.joules += self.watts * seconds

    def sample(self) -> dict[str, EnergySample]:
        return {GPU: EnergySample(self.now, self.joules, self.source, self.epoch)}

    def settle(
        self, account: EnergyAccount, *ran: tuple[str, float, float | None], held: bool = False, uses: str = GPU
    ) -> None:
        """Ran: model, begin and end in seconds of the clock."""
        intervals = [(model, round(b * S), None if e is None else round(e * S)) for model, b, e in ran]
        account.settle(self.now, intervals, {uses} if uses else (), self.sample() if held else {}, held)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def joules(account: EnergyAccount, model: str | None, state: str = "active", source: str = "counter") -> float:
    return account.totals().get((model, state, source), 0.0)


def test_what_overlaps_shares_and_what_is_idle_is_idle(world: World) -> None:
    one, other = world.account(), world.account()
    world.settle(one, held=True)
    world.settle(other)
    for second in range(4):
        world.go()
        # a runs all of the first two seconds; b (in the other process) from 1 to 3; then nobody.
        world.settle(one, *([("a", 100, 102)] if second == 1 else [("a", 100, None)] if second == 0 else []), held=True)
        world.settle(other, *([("b", 101, 103)] if second == 2 else [("b", 101, None)] if second == 1 else []))
    for _ in range(2):
        world.go()
        world.settle(one, held=True)
        world.settle(other)
    assert joules(one, "a") == pytest.approx(150)
    assert joules(other, "b") == pytest.approx(150)
    assert joules(one, None, "idle") >= 100
    assert joules(other, None, "idle") == 0


def test_nothing_is_reckoned_before_all_have_told(world: World) -> None:
    one, other = world.account(), world.account()
    world.settle(one, held=True)
    world.settle(other)
    world.go()
    world.settle(one, ("a", 100, None), held=True)
    assert joules(one, "a") == 0
    world.settle(other)
    world.go()
    world.settle(one, ("a", 100, None), held=True)
    assert joules(one, "a") == pytest.approx(100)


def test_a_process_that_died_is_not_waited_for_and_what_it_told_counts(world: World) -> None:
    one, other = world.account(), world.account()
    world.settle(one, held=True)
    world.settle(other)
    world.go()
    world.settle(other, ("b", 100, None))
    world.settle(one, ("a", 100, None), held=True)
    world.die(other)
    for _ in range(3):
        world.go()
        world.settle(one, ("a", 100, None), held=True)
    assert joules(one, "a") == pytest.approx(50 + 300)  # half of the first second


def test_files_of_the_dead_are_removed(world: World) -> None:
    one, other = world.account(), world.account()
    world.settle(one, held=True)
    world.settle(other)
    assert world.folder is not None
    assert len(list(world.folder.glob("*.activity.lock"))) == 2
    world.die(other)
    for _ in range(13):
        world.go()
        world.settle(one, held=True)
    assert len(list(world.folder.glob("*.activity.lock"))) == 1


def test_one_that_stands_still_is_left_behind_and_claims_nothing_of_the_gap(world: World) -> None:
    one, other = world.account(), world.account()
    world.settle(one, held=True)
    world.settle(other)
    for _ in range(10):
        world.go()
        world.settle(one, ("a", 100, None), held=True)
    assert joules(one, "a") >= 300  # the others go on
    world.settle(other, ("b", 100, None))  # it ran all the while, and wakes up
    for _ in range(3):
        world.go()
        world.settle(other, ("b", 100, None))
        world.settle(one, ("a", 100, None), held=True)
    world.settle(other, ("b", 100, None))
    assert joules(one, "a") + joules(other, "b") <= 1300 + 1e-6
    assert 0 < joules(other, "b") <= 150 + 1e-6


def test_one_that_comes_later_has_a_part_from_then_on(world: World) -> None:
    one = world.account()
    world.settle(one, held=True)
    world.go()
    world.settle(one, ("a", 100, None), held=True)
    world.go(0.5)
    other = world.account()
    world.settle(other, ("b", 90, None))
    world.go(0.5)
    for _ in range(3):
        world.settle(one, ("a", 100, None), held=True)
        world.settle(other, ("b", 90, None))
        world.go()
    assert joules(one, "a") + joules(other, "b") <= world.joules - 5000
    assert joules(other, "b") < joules(one, "a")
    assert joules(other, "b") > 0


def test_a_model_that_runs_elsewhere_claims_none(world: World) -> None:
    one = world.account()
    for _ in range(4):
        world.settle(one, ("a", 100, None), held=True, uses="")
        world.go()
    assert joules(one, "a") == 0
    assert joules(one, None, "idle") == pytest.approx(300)


def test_another_holder_goes_on_with_the_drivers_counter(world: World) -> None:
    one, other = world.account(), world.account()
    world.settle(one, held=True)
    world.settle(other, ("b", 100, None))
    world.go()
    world.settle(one, held=True)
    world.settle(other, ("b", 100, None))
    world.die(one)
    for _ in range(3):
        world.go()
        world.settle(other, ("b", 100, None), held=True)
    assert joules(other, "b") == pytest.approx(400)


def test_another_holder_can_not_go_on_with_power_that_another_one_integrated(world: World) -> None:
    world.source, world.epoch = "power", "one"
    one, other = world.account(), world.account()
    world.settle(one, held=True)
    world.settle(other, ("b", 100, None))
    world.go()
    world.settle(one, held=True)
    world.settle(other, ("b", 100, None))
    world.die(one)
    world.epoch = "other"
    for _ in range(3):
        world.go()
        world.settle(other, ("b", 100, None), held=True)
    assert joules(other, "b", source="power") == pytest.approx(300)  # the second between the two is nobody's


def test_what_ended_after_the_present_keeps_its_part(world: World) -> None:
    one = world.account()
    world.settle(one, held=True)
    world.go()
    world.settle(one, ("a", 100, 101.5), held=True)  # told once, while the account was being settled
    for _ in range(2):
        world.go()
        world.settle(one, held=True)
    assert joules(one, "a") == pytest.approx(150)


def test_without_a_folder_a_process_knows_its_own_part(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(None, monkeypatch)
    one = world.account()
    for _ in range(3):
        one.settle(world.now, [("a", 100 * S, None)], {GPU}, world.sample(), False)
        world.go()
    assert joules(one, "a") == pytest.approx(200)


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"\xff\xfe",
        json.dumps({"interval": 1, "to": 10**30, "active": [], "used": {}}).encode(),
        json.dumps({"interval": -1, "to": 5, "active": [], "used": {}}).encode(),
        json.dumps({"interval": 1, "to": 101 * S, "active": [[2, 1], [1, 1]], "used": {GPU: [[0, 200 * S]]}}).encode(),
        json.dumps({"interval": 1, "to": 101 * S, "active": [[0, -5]], "used": {GPU: [[0, 200 * S]]}}).encode(),
        json.dumps({"interval": 1, "to": 101 * S, "active": [[0, 1]], "used": {GPU: "all"}}).encode(),
        b'{"to": NaN, "interval": Infinity}',
        b"[" * 100_000,
    ],
)
def test_whatever_others_write_breaks_nothing(world: World, told: bytes) -> None:
    assert world.folder is not None
    (world.folder / "bad.activity.json").write_bytes(told)
    (world.folder / "bad.activity.lock").write_bytes(b"")
    world.dead.add("bad")
    (world.folder / "energy.json").write_bytes(told)
    one = world.account()
    for _ in range(3):
        world.settle(one, ("a", 100, None), held=True)
        world.go()
    assert joules(one, "a") == pytest.approx(200)


def test_a_folder_that_is_gone_is_said_once_and_claims_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    assert world.folder is not None
    world.folder = world.folder / "not" / "there"
    one = world.account()
    with caplog.at_level(logging.WARNING, "otelext"):
        for _ in range(3):
            world.settle(one, ("a", 100, None), held=True)
            world.go()
    assert len(caplog.messages) == 1
    assert not one.totals()


def test_a_forked_child_has_an_account_of_its_own(world: World) -> None:
    one = world.account()
    for _ in range(3):
        world.settle(one, ("a", 100, None), held=True)
        world.go()
    before = one._board
    one.after_fork()
    assert not one.totals()
    assert one._board is not None
    assert before is not None
    assert one._board._name != before._name
