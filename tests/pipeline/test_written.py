"""Files that are written whole or not at all, and never over somebody's edit."""

from __future__ import annotations

import pathlib
import stat
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelext.pipeline.options import Options
from otelext.pipeline.render import render
from otelext.pipeline.written import File, State, files, write
from tests.collector.configurations import FOLDER
from tests.pipeline.choices import every

TEMPO = Options(traces="tempo")


def states(options: Options, folder: pathlib.Path) -> list[State]:
    return [file.state for file in files(options, folder)]


def test_a_collector_needs_its_file_and_the_attributes_that_pass(tmp_path: pathlib.Path) -> None:
    assert [file.path for file in files(TEMPO, tmp_path)] == [
        tmp_path / "single.yaml",
        tmp_path / "allowed_attributes.yaml",
    ]
    assert [file.path for file in files(Options("agent"), tmp_path)] == [tmp_path / "agent.yaml"]


def test_a_tier_s_own_file_is_written_as_it_is(tmp_path: pathlib.Path) -> None:
    write(files(Options("gateway"), tmp_path))
    assert (tmp_path / "gateway.yaml").read_bytes() == (FOLDER / "gateway.yaml").read_bytes()


def test_any_other_says_what_rendered_it(tmp_path: pathlib.Path) -> None:
    write(files(TEMPO, tmp_path))
    text = (tmp_path / "single.yaml").read_text()
    assert ": otelext collector render single --traces tempo\n" in text.partition("\n# An edit")[0] + "\n"
    assert text.endswith(render(TEMPO))


def test_what_is_there_already_is_the_same(tmp_path: pathlib.Path) -> None:
    for options in (TEMPO, Options("single")):
        assert State.SAME not in states(options, tmp_path)[:1]
        write(files(options, tmp_path))
        assert set(states(options, tmp_path)) == {State.SAME}
        assert not any(file.difference() for file in files(options, tmp_path))


@settings(max_examples=30)
@given(st.sampled_from(every()), st.data())
def test_an_edit_is_known_and_another_choice_is_none(options: Options, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        file, *_ = files(options, folder)
        write([file])
        assert states(Options(options.tier), folder)[0] in {State.OURS, State.SAME}
        lines = file.text.splitlines(keepends=True)
        place = data.draw(st.integers(0, len(lines) - 1))
        edited = data.draw(
            st.sampled_from(
                [
                    [*lines[:place], "# a note\n", *lines[place:]],
                    [*lines[:place], *lines[place + 1 :]],
                    [*lines[:place], lines[place].rstrip("\n") + " \n", *lines[place + 1 :]],
                ]
            )
        )
        file.path.write_text("".join(edited))
        # In its first line, anything may stand behind the version: the sum is of what is below.
        assert file.state is State.EDITED or (place == 0 and edited[1:] == lines[1:])
        assert files(Options(options.tier), folder)[0].state in {State.EDITED, State.OURS, State.SAME}


def test_a_file_of_somebody_else_s_counts_as_edited(tmp_path: pathlib.Path) -> None:
    (tmp_path / "single.yaml").write_bytes(b"receivers: \xff\n")
    (tmp_path / "allowed_attributes.yaml").write_text("- service.name\n")
    assert states(TEMPO, tmp_path) == [State.EDITED, State.EDITED]


def test_what_was_copied_by_hand_from_the_checkout_is_no_edit(tmp_path: pathlib.Path) -> None:
    for name in ("single.yaml", "allowed_attributes.yaml"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    assert states(Options("single"), tmp_path) == [State.SAME, State.SAME]
    assert states(TEMPO, tmp_path) == [State.OURS, State.SAME]


def test_windows_line_ends_are_no_edit(tmp_path: pathlib.Path) -> None:
    write(files(TEMPO, tmp_path))
    path = tmp_path / "single.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert states(Options(traces="otlp"), tmp_path)[0] is State.OURS


def test_the_difference_is_from_what_is_there_to_what_would_be(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    file = File(path, "one\ntwo\n")
    assert file.difference() == f"--- /dev/null\n+++ {path}\n@@ -0,0 +1,2 @@\n+one\n+two\n"
    path.write_text("one\nthree")
    assert file.difference() == (
        f"--- {path}\n+++ {path}\n@@ -1,2 +1,2 @@\n one\n-three\n\\ No newline at end of file\n+two\n"
    )


def test_all_are_written_or_none(tmp_path: pathlib.Path) -> None:
    first, second, absent = (tmp_path / name for name in ("first.yaml", "second.yaml", "absent.yaml"))
    first.write_text("as it was\n")
    (second / "full").mkdir(parents=True)  # which no file can replace
    with pytest.raises(IsADirectoryError):
        write([File(first, "new\n"), File(absent, "new\n"), File(second, "new\n")])
    assert first.read_text() == "as it was\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.yaml", "second.yaml"]


def test_a_place_that_cannot_be_written_leaves_no_trace(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write([File(tmp_path / "a.yaml", "a\n"), File(tmp_path / "file" / "b.yaml", "b\n")])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_new_folder_is_made_and_a_file_can_be_read_by_the_collector_s_user(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "etc" / "otelcol" / "a.yaml"
    write([File(path, "a\n")])
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    path.chmod(0o640)
    write([File(path, "b\n")])
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("b\n", 0o640)


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: pathlib.Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text("a\n")
    link.symlink_to(real)
    write([File(link, "b\n")])
    assert link.is_symlink()
    assert real.read_text() == "b\n"


def test_a_folder_that_cannot_be_written_to_is_told_by_the_file_s_own_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*, prefix: str, dir: pathlib.Path) -> tuple[int, str]:  # noqa: A002
        raise PermissionError(13, "Permission denied", str(dir / f"{prefix}x"))

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    with pytest.raises(PermissionError) as raised:
        write(files(TEMPO, tmp_path))
    assert raised.value.filename == str(tmp_path / "single.yaml")
