"""YAML that is changed and keeps its comments where they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.pipeline.commented import above, dump, load, put, put_above, remove, rename, replace, reword, reword_beside
from tests.compose.composition import ROOT

if TYPE_CHECKING:
    import pathlib

TEXT = """\
# What it is.

# About a.
a:
  # About b,
  # in two lines.
  b: 1 # one
  c: [2, 3]

  # About d.
  d: &two
    - x # the first
    # About y.
    - y
# About e.
e:
  f: *two
  g: "h"
  # About i.
  i: {j: k}
"""
FILES = [
    *(path for path in (ROOT / "collector").glob("*.yaml") if path.name != "allowed_attributes.yaml"),  # a list
    *(ROOT / "collector").glob("*/*.y*ml"),
    *(ROOT / "collector/backends").glob("*/*.y*ml"),
    ROOT / "docker-compose.otel.yml",
    ROOT / ".pre-commit-config.yaml",
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_nobody_changed_is_the_same_text(path: pathlib.Path) -> None:
    text = path.read_text()
    assert dump(load(text)) == text


def test_a_comment_stands_with_what_is_below_it() -> None:
    root = load(TEXT)
    assert above(root, "a") == ["# What it is.", "", "# About a."]
    assert above(root["a"], "b") == ["# About b,", "# in two lines."]
    assert above(root["a"], "c") == []
    assert above(root["a"], "d") == ["", "# About d."]
    assert above(root["a"]["d"], 1) == ["# About y."]
    assert above(root, "e") == ["# About e."]
    assert above(root["e"], "i") == ["# About i."]


def test_what_goes_takes_its_comments_with_it_and_no_other() -> None:
    root = load(TEXT)
    remove(root["a"], "d")
    remove(root["e"], "i")
    remove(root["a"], "b")
    assert dump(root) == (
        "# What it is.\n\n# About a.\na:\n  c: [2, 3]\n"
        '# About e.\ne:\n  f:\n    - x # the first\n    # About y.\n    - y\n  g: "h"\n'
    ), "nor does a name stay that nothing refers to"


def test_what_comes_from_elsewhere_brings_its_comments_and_takes_the_place() -> None:
    root, other = (
        load(TEXT),
        load("# Head.\n\nz:\n  # About b of another.\n  b: 5 # five\n  # About n.\n  n:\n    o: p\n"),
    )
    put(root["a"], "b", other["z"])
    replace(root["e"], "g", other["z"], "n")
    put(root["e"], "b", other["z"], name="q", at=0)
    assert dump(root) == (
        "# What it is.\n\n# About a.\na:\n  # About b of another.\n  b: 5 # five\n  c: [2, 3]\n\n"
        "  # About d.\n  d: &two\n    - x # the first\n    # About y.\n    - y\n"
        "# About e.\ne:\n  # About b of another.\n  q: 5 # five\n  f: *two\n  # About n.\n  n:\n    o: p\n"
        "  # About i.\n  i: {j: k}\n"
    )


def test_another_name_keeps_place_and_comments() -> None:
    root = load(TEXT)
    rename(root["a"], "b", "renamed")
    assert dump(root) == TEXT.replace("  b: 1", "  renamed: 1")


def test_words_are_replaced_wherever_their_lines_are_broken() -> None:
    root = load(TEXT)
    reword(root["a"], "b", "About b, in two lines.", "About b in one.")
    reword_beside(root["a"], "b", "changed")
    reword(root, "a", "What it is.", "Another thing.\n\nAnd more of it.")
    put_above(root["a"], "c", "About c.")
    assert dump(root) == TEXT.replace("# About b,\n  # in two lines.", "# About b in one.").replace(
        "# one", "# changed"
    ).replace("# What it is.", "# Another thing.\n#\n# And more of it.").replace("  c:", "  # About c.\n  c:")


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=30), min_size=1, max_size=60), st.integers(0, 8))
def test_a_reworded_paragraph_fits_its_lines_and_loses_no_word(words: list[str], depth: int) -> None:
    names = [f"k{level}" for level in range(depth)]
    text = "".join(f"{'  ' * level}{name}:\n" for level, name in enumerate(names))
    text += f"{'  ' * depth}x: 1\n{'  ' * depth}# Old words.\n{'  ' * depth}y: 1\n"
    root = load(text)
    node = root
    for name in names:
        node = node[name]
    reword(node, "y", "Old words.", " ".join(words))
    lines = [line for line in dump(root).splitlines() if "#" in line]
    assert all(len(line) <= 120 and line.startswith("  " * depth + "# ") for line in lines)
    assert " ".join(line.strip().removeprefix("# ") for line in lines).split() == words


def test_words_that_are_not_there_are_an_error() -> None:
    root = load(TEXT)
    with pytest.raises(ValueError, match="the comment of b doesn't say 'three lines'"):
        reword(root["a"], "b", "three lines", "four lines")
    with pytest.raises(ValueError, match="c has no comment beside it"):
        reword_beside(root["a"], "c", "x")


def test_a_comment_behind_everything_is_an_error_since_nothing_carries_it() -> None:
    with pytest.raises(ValueError, match="'# the end' has nothing below it"):
        load("a: 1\n# the end\n")
