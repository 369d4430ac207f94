from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from document_vlm.client import BROKEN, HANGING_UP, QUICK, SLOW, TWIN, Outcome
from document_vlm.load import Mix, broken_files, failures, form, plan, progress, summary
from otelext import semconv


def test_a_plan_holds_what_its_mix_says_and_every_name_is_a_request_id():
    mix = Mix(quick=14, slow=2, hanging_up=3, broken=6)
    common, slow = plan(mix)
    behaviours = [request.behaviour for request in common]
    assert {kind: behaviours.count(kind) for kind in (QUICK, HANGING_UP, BROKEN, TWIN)} == {
        QUICK: 14,
        HANGING_UP: 3,
        BROKEN: 6,
        TWIN: 2,
    }
    assert len(common) + len(slow) == mix.total
    names = [request.name for request in (*common, *slow)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(semconv.REQUEST_ID_PATTERN, name) for name in names)


def test_each_slow_reader_has_a_twin_that_asks_the_same():
    common, slow = plan(Mix(slow=3))
    twins = [request for request in common if request.behaviour == TWIN]
    assert twins == common[:3]
    assert [twin.name.removeprefix(TWIN) for twin in twins] == [request.name.removeprefix(SLOW) for request in slow]
    assert [twin.body for twin in twins] == [request.body for request in slow]
    assert all(request.bytes_per_second and request.receive_buffer for request in slow)
    assert all(twin.bytes_per_second is None for twin in twins)


def test_the_order_follows_from_the_seed():
    def order(seed):
        return [request.behaviour for request in plan(Mix(seed=seed))[0]]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_every_kind_of_broken_file_is_another_one():
    files = broken_files()
    assert len({data for data, _ in files}) == len(files) >= 5


def test_a_form_is_what_a_multipart_parser_reads():
    from python_multipart import parse_form

    body, content_type = form([("a.jpg", b"\r\n--x\xff"), ("b.jpg", b"")], {"prompt": "Was ist das? äöü"})
    fields: list[Any] = []
    files: list[Any] = []
    headers = {"Content-Type": content_type.encode(), "Content-Length": str(len(body)).encode()}
    parse_form(headers, io.BytesIO(body), fields.append, files.append)
    assert [(field.field_name, field.value.decode()) for field in fields] == [(b"prompt", "Was ist das? äöü")]
    read = []
    for file in files:
        file.file_object.seek(0)
        read.append((file.field_name, file.file_name, file.file_object.read()))
        file.close()
    assert read == [(b"file", b"a.jpg", b"\r\n--x\xff"), (b"file", b"b.jpg", b"")]


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (Outcome("a", QUICK, status=200), False),
        (Outcome("a", QUICK, status=503), True),
        (Outcome("a", QUICK, error="ConnectionResetError"), True),
        (Outcome("a", SLOW, status=200, error="incomplete response"), True),
        (Outcome("a", BROKEN, status=415), False),
        (Outcome("a", BROKEN, status=200), True),
        (Outcome("a", BROKEN, status=500), True),
        (Outcome("a", HANGING_UP, status=200), False),
    ],
)
def test_a_failure_is_what_its_behaviour_does_not_expect(outcome, failed):
    assert failures([outcome]) == ([outcome] if failed else [])


def test_progress_is_lines_where_there_is_no_terminal_and_a_bar_where_there_is():
    for terminal in (False, True):
        written = io.StringIO()
        console = Console(file=written, force_terminal=terminal, width=100)
        with progress(6, console) as ended:
            for _ in range(6):
                ended(Outcome("a", QUICK))
        text = written.getvalue()
        assert ("6 of 6 requests ended" in text) is not terminal
        assert ("6/6" in text) is terminal


def test_the_summary_counts_statuses_by_behaviour():
    outcomes = [Outcome("a", QUICK, status=200), Outcome("b", QUICK, status=200), Outcome("c", SLOW, error="reset")]
    assert summary(outcomes) == "  quick: 2 x 200\n  slow: 1 x no status (reset)"
