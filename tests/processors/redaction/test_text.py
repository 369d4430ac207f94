"""What is left of stack traces, and what counts as written in the source."""

from __future__ import annotations

import linecache
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.processors.redaction import literals
from otelext.processors.redaction.text import frames_in, frames_of

MODULE_CONSTANT = "kept in a constant of the module"


def failing(message: str) -> None:
    raise ValueError(message)


def raised(message: str) -> ValueError:
    try:
        try:
            failing(message)
        except ValueError as cause:
            raise ValueError(f"outer {message}") from cause
    except ValueError as error:
        return error
    raise AssertionError


def without_types(frames: str) -> str:
    return "\n".join(line for line in frames.splitlines() if line.startswith("File "))


def test_frames_are_files_lines_and_functions_of_causes_too() -> None:
    frames = frames_of(raised("Kim 900101-1234567"))
    assert "Kim" not in frames
    lines = without_types(frames).splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["raised", "failing", "raised"]
    assert all(line.startswith('File "') and "test_text.py" in line for line in lines)


class Unread(Exception):
    """A class of a module."""

    class Page(Exception):
        """One inside of it."""


def chained(*chain: BaseException) -> BaseException:
    """The last of some exceptions, each raised from the one before; the first was never raised."""
    cause, *rest = chain
    for error in rest:
        try:
            raise error from cause
        except BaseException as raised_error:  # noqa: BLE001
            cause = raised_error
    return cause


def types(frames: str) -> list[str]:
    return [line for line in frames.splitlines() if not line.startswith("File ")]


def test_each_of_a_chain_has_its_type_before_its_frames_as_python_prints_them() -> None:
    class Local(Exception):
        """One of a function."""

    frames = frames_of(chained(KeyError("Kim"), Unread("Kim"), Unread.Page("Kim"), Local("Kim"), RuntimeError("Kim")))
    here = test_each_of_a_chain_has_its_type_before_its_frames_as_python_prints_them.__name__
    assert types(frames) == [
        "KeyError:",
        f"{__name__}.Unread:",
        f"{__name__}.Unread.Page:",
        f"{__name__}.{here}.<locals>.Local:",
        "RuntimeError:",
    ]
    assert [line.endswith("in chained") for line in frames.splitlines()] == [False, *[False, True] * 4]


def test_a_single_exception_has_no_type_among_its_frames() -> None:
    with pytest.raises(ValueError, match="Kim") as caught:
        failing("Kim")
    assert not types(frames_of(caught.value))


@given(st.text(max_size=40), st.sampled_from([__name__, "builtins", "made.up", "Kim", ""]))
def test_of_a_class_that_is_made_at_run_time_no_name_leaves(name: str, module: str) -> None:
    kind = type("x", (Exception,), {"__module__": module})
    kind.__qualname__ = "Kim" + name
    assert types(frames_of(chained(kind(), ValueError()))) == ["[redacted]:", "ValueError:"]


def test_a_class_that_names_a_module_badly_raises_nothing() -> None:
    kind = type("Kim", (Exception,), {"__module__": 7})
    assert types(frames_of(chained(kind(), ValueError()))) == ["[redacted]:", "ValueError:"]


def test_the_same_frames_come_out_of_a_formatted_trace() -> None:
    error = raised("Kim 900101-1234567")
    assert frames_in("".join(traceback.format_exception(error))) == without_types(frames_of(error))


def test_no_folder_above_the_program_is_told() -> None:
    assert str(Path(__file__).parents[3]) not in frames_of(raised("x"))


@given(st.text(max_size=40), st.text(max_size=20))
def test_a_forged_frame_does_not_pass(file: str, function: str) -> None:
    forged = f'  File "{file}", line 3, in {function}\n'
    error = raised("\n" + forged)
    assert frames_in("".join(traceback.format_exception(error))) == without_types(frames_of(error))


def test_a_forged_frame_of_a_loaded_file_needs_a_function_of_it() -> None:
    assert not frames_in(f'  File "{__file__}", line 3, in Kim\n')
    assert frames_in(f'  File "{__file__}", line 3, in raised\n')


def test_an_exception_that_was_never_raised_has_no_frames() -> None:
    assert not frames_of(ValueError("x"))


def test_a_chain_that_bites_its_tail_ends() -> None:
    error = raised("x")
    assert error.__cause__ is not None
    error.__cause__.__cause__ = error
    assert frames_of(error)


def test_string_constants_are_literals_and_what_is_made_of_them_is_not() -> None:
    assert literals.is_literal(MODULE_CONSTANT, __file__)
    assert literals.is_literal("한국어 로그", __file__)
    name = "Kim"
    assert not literals.is_literal(f"patient {name} of the ward", __file__)
    assert not literals.is_literal(f"{name} of the ward", __file__)
    assert literals.is_literal(" of the ward", __file__), "a constant part was written too"


def test_constants_that_the_compiler_joins_are_literals_with_their_frame() -> None:
    joined = "joined " + "by the compiler"
    assert literals.is_literal(joined, __file__, sys._getframe())


def test_code_without_a_file_is_asked_itself() -> None:
    scope: dict[str, object] = {"sys": sys}
    exec(compile("frame = sys._getframe()\nx = 'said here'", "<nowhere>", "exec"), scope)
    frame = scope["frame"]
    assert literals.is_literal("said here", "<nowhere>", frame)  # type: ignore[arg-type]
    assert not literals.is_literal("said elsewhere", "<nowhere>", frame)  # type: ignore[arg-type]


def test_what_others_keep_for_tracebacks_stays() -> None:
    # As attrs, IPython and doctest do for code that they make.
    linecache.cache["<made>"] = (12, None, ["said = 'made'\n"], "<made>")
    assert literals.is_literal("made", "<made>")
    assert linecache.getline("<made>", 1) == "said = 'made'\n"


def test_a_file_that_is_no_python_has_no_literals(tmp_path: Path) -> None:
    for name, content in (("a.py", "def ("), ("b.py", "\0"), ("c.bin", "x")):
        (tmp_path / name).write_text(content)
        assert not literals.is_literal("x", str(tmp_path / name))


def test_of_code_that_is_made_at_run_time_no_name_leaves() -> None:
    scope: dict[str, Any] = {}
    exec(compile("def Kim():\n    raise EOFError\n", "/data/Kim.py", "exec"), scope)
    with pytest.raises(EOFError) as caught:
        scope["Kim"]()
    # A log record of that code asks for what is written there.
    assert not literals.is_literal("Kim", "/data/Kim.py")
    frames = frames_of(caught.value)
    assert "Kim" not in frames
    assert "Kim" not in frames_in("".join(traceback.format_exception(caught.value)))
    assert frames.splitlines()[-1] == 'File "[redacted]", line 2, in [redacted]'
