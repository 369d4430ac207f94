"""What leaves of a message, in each of the forms in which people write them."""

# How people write messages is under test, mistakes included.
# ruff: noqa: FLY002, G001, G002, G003, G004, PLE1205, PLE1206, UP031, UP032

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelext import semconv
from otelext.logs.message import body_of
from otelext.processors.redaction.rules import Rules

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tests.logs.conftest import Logged

SECRET = "홍길동-4711"
MODULE_LEVEL = "written above, with %s"


class Hostile:
    """Nothing about it can be looked at."""

    def __str__(self) -> str:
        raise ValueError(SECRET)

    __repr__ = __format__ = __bool__ = __hash__ = __eq__ = __len__ = __str__  # type: ignore[assignment]


class Text(str):
    """A string of the user's own class."""

    __slots__ = ()

    def __str__(self) -> str:
        return SECRET


def say(logger: logging.Logger, message: str, *args: object) -> None:
    """A wrapper, as many services have one."""
    logger.info(message, *args)


@pytest.mark.parametrize(
    ("log", "body"),
    [
        (lambda log: log.info("a literal"), "a literal"),
        (lambda log: log.info("100 % of it, as it is"), "100 % of it, as it is"),
        (lambda log: log.info("patient %s", SECRET), "patient [redacted]"),
        (lambda log: log.info("%d pages, %-5.2f won, %x, %%", 3, 4711.5, 255), "[redacted] pages, [redacted] won, [redacted], %"),
        (lambda log: log.info("%*d and %.*f", 5, 3, 2, 4711.0), "[redacted] and [redacted]"),
        (lambda log: log.info("환자 %s 님, %d원", SECRET, 4711), "환자 [redacted] 님, [redacted]원"),
        (lambda log: log.info("%(name)s of %(a(b))s", {"name": SECRET, "a(b)": SECRET}), "[redacted] of [redacted]"),
        (lambda log: log.info("whole %s", {"name": SECRET}), "whole [redacted]"),
        (lambda log: log.info(MODULE_LEVEL, SECRET), "written above, with [redacted]"),
        (lambda log: log.info("joined " + "by the compiler"), "joined by the compiler"),
        (lambda log: log.info(f"patient {SECRET}"), "[redacted]"),
        (lambda log: log.info(f"환자 {SECRET} 님"), "[redacted]"),
        (lambda log: log.info("patient {}".format(SECRET)), "[redacted]"),
        (lambda log: log.info("patient " + SECRET), "[redacted]"),
        (lambda log: log.info("patient %s" % SECRET), "[redacted]"),
        (lambda log: log.info(f"patient {SECRET}: %s", 4711), "[redacted]"),
        (lambda log: log.info("".join([SECRET, "!"])), "[redacted]"),
        (lambda log: log.info(ValueError(SECRET)), "[redacted]"),
        (lambda log: log.info({"patient": SECRET}), "[redacted]"),
        (lambda log: log.info(None), "[redacted]"),
        (lambda log: log.info(Hostile()), "[redacted]"),
        (lambda log: log.info(Text(f"not {4711}")), "[redacted]"),
        (lambda log: log.info(Text("a literal")), "a literal"),
        (lambda log: log.info("hostile %s", Hostile()), "hostile [redacted]"),
        (lambda log: log.info("too few %s %s", SECRET), "too few [redacted] [redacted]"),
        (lambda log: log.info("too many", SECRET), "too many"),
        (lambda log: log.info("no number: %d", SECRET), "no number: [redacted]"),
        (lambda log: log.info("no format: %y %(x", SECRET), "no format: [redacted] %(x"),
        (lambda log: say(log, "through a wrapper: %s", SECRET), "through a wrapper: [redacted]"),
        (lambda log: say(log, f"through a wrapper: {SECRET}"), "[redacted]"),
    ],
)  # fmt: skip
def test_the_constant_part_of_a_message_leaves_and_nothing_else(
    logged: Logged, log: Callable[[logging.Logger], None], body: str
) -> None:
    log(logged.logger)
    assert logged.body() == body
    for canary in (SECRET, "홍길동", "4711"):
        assert canary not in logged.text
        assert ascii(canary)[1:-1] not in logged.text


def test_an_argument_leaves_under_a_name_that_may(logged: Logged, rules: Callable[..., None]) -> None:
    rules(allow=frozenset({"ward"}), tenants=frozenset({"north"}))
    values = {
        "vlm.stage": "prefill",
        "tenant.id": "south",
        "request.id": "no id of ours",
        "ward": 7,
        "vlm.input.pages": 3,
        "name": SECRET,
    }
    logged.logger.info(
        "%(vlm.stage)s|%(tenant.id)s|%(request.id)s|%(ward)03d|%(vlm.input.pages)5.1f|%(name)s|%(absent)s|%%", values
    )
    assert logged.body() == "prefill|other|[redacted]|007|  3.0|[redacted]|[redacted]|%"


def test_an_allowed_argument_that_can_not_be_shown_is_redacted(logged: Logged, rules: Callable[..., None]) -> None:
    rules(allow=frozenset({"ward"}))
    logged.logger.info("%(ward)s and %(vlm.stage)d", {"ward": Hostile(), "vlm.stage": "decode"})
    assert logged.body() == "[redacted] and [redacted]"


def test_arguments_leave_where_they_were_asked_for(logged: Logged, rules: Callable[..., None]) -> None:
    rules("log_arguments")
    logged.logger.info("patient %s", SECRET)
    logged.logger.info(f"patient {SECRET}")
    logged.logger.info("too few %s %s", SECRET)
    logged.logger.info("hostile %s", Hostile())
    assert [line["body"] for line in logged.lines] == [
        f"patient {SECRET}",
        "[redacted]",
        "too few [redacted] [redacted]",
        "hostile [redacted]",
    ]


def test_messages_leave_where_they_were_asked_for_and_their_arguments_do_not(
    logged: Logged, rules: Callable[..., None]
) -> None:
    rules("log_messages")
    logged.logger.info(f"patient {SECRET}")
    logged.logger.info(f"patient {SECRET}: %s", "argument")
    logged.logger.info(ValueError(SECRET))
    logged.logger.info(Hostile())
    assert [line["body"] for line in logged.lines] == [
        f"patient {SECRET}",
        f"patient {SECRET}: [redacted]",
        SECRET,
        "[redacted]",
    ]


def test_what_is_taken_away_is_counted_by_kind(logged: Logged, counted: Callable[[str], int]) -> None:
    del logged.handlers[2]
    logged.logger.info("%s and %d", SECRET, 4711)
    logged.logger.info(f"patient {SECRET}")
    assert counted(semconv.REDACTED_LOG_ARGUMENT) == 2
    assert counted(semconv.REDACTED_LOG_MESSAGE) == 1


def test_a_file_that_the_compiler_warns_of_is_read_like_any_other(logged: Logged, tmp_path: Any) -> None:
    file = tmp_path / "warns.py"
    file.write_text('PATTERN = "\\d"\nMESSAGE = "a constant"\ndef log(logger):\n    logger.info(MESSAGE)\n')
    space: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(file.read_text(), str(file), "exec"), space)
    space["log"](logged.logger)
    assert logged.body() == "a constant"


def test_code_without_a_source_is_asked_for_its_constants(logged: Logged) -> None:
    space: dict[str, Any] = {"secret": SECRET}
    code = "def log(logger):\n    logger.info('a constant: %s', secret)\n    logger.info('dynamic ' + secret)\n"
    exec(compile(code, "<made at run time>", "exec"), space)
    space["log"](logged.logger)
    assert [line["body"] for line in logged.lines] == ["a constant: [redacted]", "[redacted]"]


MESSAGES = st.one_of(
    st.text(), st.binary(), st.none(), st.integers(), st.dictionaries(st.text(), st.text()), st.builds(Hostile)
)
ARGS = st.one_of(
    st.none(),
    st.lists(MESSAGES).map(tuple),
    st.dictionaries(st.one_of(st.text(), st.sampled_from(["vlm.stage", "request.id"])), MESSAGES),
    st.builds(Hostile),
)  # fmt: skip


@given(message=MESSAGES, args=ARGS)
def test_no_message_and_no_arguments_make_it_raise(message: Any, args: Any) -> None:
    for capture in (frozenset[str](), frozenset({"log_arguments"}), frozenset({"log_messages", "log_arguments"})):
        body = body_of(message, args, __file__, Rules(capture=capture), lambda: None)
        assert isinstance(body, str)


FORMATS = st.sampled_from(
    ["%s", "%d", "%r", "%-7.3f", "%%", "%(a)s", "%(vlm.stage)s", "%", "%(", "%5", "% d", "가 ", "x"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(FORMATS, max_size=8),
    args=st.one_of(
        st.lists(st.one_of(st.just(SECRET), st.just(4711), st.just([SECRET])), min_size=1, max_size=6).map(tuple),
        st.just({"a": SECRET, SECRET: 1}),
    ),
)
def test_no_format_lets_an_argument_out(parts: list[str], args: Any) -> None:
    template = "".join(parts)
    code = compile(f"MESSAGE = {template!r}", "<template>", "exec")
    body = body_of(template, args, "<template>", Rules(), lambda: Frame(code))  # type: ignore[arg-type,return-value]
    assert SECRET not in body
    assert "4711" not in body


class Frame:
    """A frame that runs some code."""

    f_back = None

    def __init__(self, code: Any) -> None:
        self.f_code = code
