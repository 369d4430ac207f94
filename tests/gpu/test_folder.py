from __future__ import annotations

import os
import resource
import stat
import tempfile
from typing import TYPE_CHECKING

import pytest

from otelext.gpu import folder
from otelext.gpu.folder import LIMIT, LockFile, is_held, publish, read, usable_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_the_configured_folder_is_made_for_all_users(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        found = usable_folder(str(tmp_path / "host" / "gpus"))
    finally:
        os.umask(before)
    assert found == tmp_path / "host" / "gpus"
    assert stat.S_IMODE(found.stat().st_mode) == 0o1777
    assert list(found.iterdir()) == []


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert usable_folder(str(tmp_path)) == tmp_path
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("configured", ["/proc/self/gpus", "file/gpus", "file", "zero\0"])
def test_a_folder_that_can_not_be_used_is_none(tmp_path: Path, configured: str) -> None:
    (tmp_path / "file").touch()
    assert usable_folder(str(tmp_path / configured)) is None


def test_without_one_configured_it_is_in_the_temporary_folder_and_else_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(folder, "_MEMORY", tmp_path / "memory")
    assert usable_folder("") == tmp_path / "otelext-gpu"
    (tmp_path / "otelext-gpu").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "otelext-gpu").symlink_to(tmp_path / "elsewhere")  # which anyone can put there
    assert usable_folder("") == tmp_path / "memory"


def test_a_document_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    assert publish(path, {"a": [1, 2.5]})
    assert read(path) == {"a": [1, 2.5]}
    assert publish(path, None)
    assert read(path) is None
    assert [found.name for found in tmp_path.iterdir()] == ["one.json"]


def test_what_is_too_long_is_neither_written_nor_read(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    assert not publish(path, "x" * LIMIT)
    assert not path.exists()
    path.write_text('"' + "x" * LIMIT + '"', encoding="utf-8")
    assert read(path) is None


def test_a_document_can_not_be_written_where_there_is_no_folder(tmp_path: Path) -> None:
    assert not publish(tmp_path / "missing" / "one.json", {})


def test_a_lock_is_seen_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    assert not is_held(path)
    lock = LockFile(path)
    assert lock.take()
    assert is_held(path)
    assert lock.kept()
    lock.release()
    assert path.exists()
    assert not is_held(path)
    assert not lock.kept()


def test_a_held_file_stays_young_enough_not_to_be_cleaned_away(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "one.lock")
    assert lock.take()
    os.utime(lock.path, (0, 0))
    assert lock.kept()
    assert lock.path.stat().st_mtime > 0
    lock.release()


def test_where_no_file_can_be_opened_a_lock_is_not_taken_for_free(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    path.touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        held = is_held(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert held
    assert not is_held(path)
