"""Files as the Collector reads them, and those that it can't."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from otelext.pipeline.yaml_tree import Item, UnreadableError, read

if TYPE_CHECKING:
    from pathlib import Path


def tree(tmp_path: Path, text: str) -> Item:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return read(str(file), {})


@pytest.mark.parametrize("value", ["2001-02-30", "!!int abc", "!!bool abc", "!new tag", "9" * 5000])
def test_a_scalar_that_is_not_what_it_seems_is_its_text(tmp_path: Path, value: str) -> None:
    assert tree(tmp_path, f"a: {value}\n").plain == {"a": value.rpartition(" ")[2]}


@pytest.mark.parametrize("line", ["a:\t", "a:\t# why", "a: \t "])
def test_a_tab_at_the_end_of_a_line_is_none_of_its_indent(tmp_path: Path, line: str) -> None:
    assert tree(tmp_path, f"{line}\n  b: 1\n").plain == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: 1\n---\nb: 1\n", ":2: a second document"), ("a: 1\n[b]: 1\n", ":2: a key that is a list")],
)
def test_what_would_be_lost_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        tree(tmp_path, text)


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\n")))
    assert read("-", {}).plain == {"a": 1}


@pytest.mark.parametrize("text", ["a: ${env:A}\n", "a: b${env:A}\n"])
def test_a_variable_that_holds_itself_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UnreadableError, match="a variable holds itself"):
        read(str(file), {"A": "${env:A}${env:A}"})


def test_many_tabs_take_no_time(tmp_path: Path) -> None:
    assert tree(tmp_path, "a: 'b" + "\t" * 100_000 + "c'\n")["a"] is not None


def test_a_key_of_endless_steps_is_too_deep(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="too deeply"):
        tree(tmp_path, "? " + "::".join("a" * 3000) + "\n: 1\n")
