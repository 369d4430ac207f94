"""A decorated callable is the same to everyone who looks at it, calls it or passes it on."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import inspect
import io
import pickle
import pydoc
import sys
import types
import typing
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from opentelemetry import trace

import otelext

if TYPE_CHECKING:
    from typing_extensions import Self

    from otelext.testing import Captured

KINDS = (
    inspect.isfunction,
    inspect.ismethod,
    inspect.isroutine,
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isclass,
    inspect.isbuiltin,
    callable,
)


def function(prompt: str, *, pages: int = 1) -> int:
    """What a function does."""
    return len(prompt) * pages


async def coroutine(prompt: str, *, pages: int = 1) -> int:
    """What a coroutine function does."""
    return len(prompt) * pages


def generator(prompt: str, *, pages: int = 1) -> Generator[str, None, int]:
    """What a generator function does."""
    yield prompt
    return pages


async def async_generator(prompt: str, *, pages: int = 1) -> AsyncGenerator[str, None]:
    """What an async generator function does."""
    yield prompt * pages


PLAIN: tuple[Any, ...] = (function, coroutine, generator, async_generator)
inferred_function = otelext.inference("chat", model="m")(function)
inferred_coroutine = otelext.inference("chat", model="m")(coroutine)
inferred_generator = otelext.inference("chat", model="m")(generator)
inferred_async_generator = otelext.inference("chat", model="m")(async_generator)


@pytest.fixture(params=PLAIN, ids=lambda plain: plain.__name__)
def plain(request: pytest.FixtureRequest) -> Any:
    """A function of each kind."""
    return request.param


@pytest.fixture(params=[otelext.inference("chat", model="m"), otelext.stage("decode")], ids=["inference", "stage"])
def decorator(request: pytest.FixtureRequest) -> Any:
    """Both decorators."""
    return request.param


def test_it_looks_the_same_to_inspect(plain: Any, decorator: Any) -> None:
    decorated = decorator(plain)
    assert decorated is not plain
    for look in KINDS:
        assert look(decorated) == look(plain), look
    if sys.version_info < (3, 14):
        # Deprecated, and still asked by many libraries.
        asked: Any = asyncio.iscoroutinefunction  # type: ignore[deprecated, unused-ignore]
        assert asked(decorated) == asked(plain)
    readers: tuple[Any, ...] = (
        inspect.signature,
        typing.get_type_hints,
        inspect.getdoc,
        inspect.getsource,
        inspect.getmodule,
    )
    for read in readers:
        assert read(decorated) == read(plain), read
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(decorated, name) == getattr(plain, name)
    assert decorated.__wrapped__ is plain
    assert inspect.unwrap(decorated) is plain
    assert isinstance(decorated, types.FunctionType)
    assert pydoc.render_doc(decorated) == pydoc.render_doc(plain)
    mock.create_autospec(decorated)
    assert weakref.ref(decorated)() is decorated
    assert {decorated: 1}[decorated] == 1
    assert decorated != plain


def test_what_was_set_on_the_function_can_be_read(plain: Any, decorator: Any) -> None:
    plain.route = "/v1"
    try:
        decorated = decorator(plain)
        assert decorated.route == "/v1"
        decorated.more = 1
        assert decorated.more == 1
        with pytest.raises(AttributeError, match="missing"):
            _ = decorated.missing
    finally:
        del plain.route


def test_partials_look_the_same(plain: Any, decorator: Any) -> None:
    for make in (
        lambda f: functools.partial(decorator(f), "p"),
        lambda f: decorator(functools.partial(f, "p")),
        lambda f: decorator(decorator(f)),
    ):
        for look in KINDS[3:6]:
            assert look(make(plain)) == look(plain), look
    assert inspect.signature(decorator(functools.partial(plain, "p"))) == inspect.signature(
        functools.partial(plain, "p")
    )


def run(result: Any) -> Any:
    """What calling one of the functions comes to."""
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if inspect.isasyncgen(result):

        async def collect() -> list[Any]:
            return [chunk async for chunk in result]

        return asyncio.run(collect())
    if inspect.isgenerator(result):
        return list(result)
    return result


def test_partials_run(captured: Captured, plain: Any, decorator: Any) -> None:
    expected = run(plain("ab", pages=2))
    assert run(functools.partial(decorator(plain), "ab")(pages=2)) == expected
    assert run(decorator(functools.partial(plain, "ab"))(pages=2)) == expected
    assert run(decorator(functools.partial(functools.partial(plain, "ab"), pages=3))(pages=2)) == expected
    assert len(captured.spans()) == 3


def test_wrong_arguments_raise_at_the_call(plain: Any, decorator: Any) -> None:
    decorated = decorator(plain)
    for args, kwargs in (((), {}), (("a", "b"), {}), (("a",), {"page": 1})):
        with pytest.raises(TypeError) as expected:
            plain(*args, **kwargs)
        with pytest.raises(TypeError) as found:
            decorated(*args, **kwargs)
        assert str(found.value) == str(expected.value)


def test_what_is_returned_is_of_the_same_kind(captured: Captured, plain: Any, decorator: Any) -> None:
    one, other = plain("a"), decorator(plain)("a")
    assert type(one) is type(other)
    assert getattr(one, "__name__", None) == getattr(other, "__name__", None)
    assert getattr(one, "__qualname__", None) == getattr(other, "__qualname__", None)
    assert run(one) == run(other)
    assert len(captured.spans()) == 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "decorated", [inferred_function, inferred_coroutine, inferred_generator, inferred_async_generator]
)
def test_a_decorated_function_of_a_module_pickles_and_copies(decorated: Any, protocol: int, monkeypatch: Any) -> None:
    module = types.ModuleType("service")
    name = decorated.__wrapped__.__name__
    module.__dict__[name] = decorated
    monkeypatch.setitem(sys.modules, "service", module)
    monkeypatch.setattr(decorated, "__module__", "service")
    assert pickle.loads(pickle.dumps(decorated, protocol)) is decorated
    assert copy.copy(decorated) is decorated
    assert copy.deepcopy({"f": decorated})["f"] is decorated


class Service:
    """Methods of all kinds, decorated in both orders."""

    def __init__(self, name: str = "s") -> None:
        self.name = name

    @otelext.inference("chat", model=lambda self, prompt: f"{self.name}-{prompt}")
    def method(self, prompt: str) -> str:
        return self.name + prompt

    @otelext.inference("chat")
    def generator(self, prompt: str) -> Iterator[str]:
        yield self.name + prompt

    @otelext.inference("chat")
    async def coroutine(self, prompt: str) -> str:
        return self.name + prompt

    @otelext.inference("chat")
    async def async_generator(self, prompt: str) -> AsyncIterator[str]:
        yield self.name + prompt

    @classmethod
    @otelext.inference("chat")
    def class_inner(cls, prompt: str) -> Iterator[str]:
        yield cls.__name__ + prompt

    @otelext.inference("chat")
    @classmethod
    def class_outer(cls, prompt: str) -> Iterator[str]:
        yield cls.__name__ + prompt

    @staticmethod
    @otelext.inference("chat")
    async def static_inner(prompt: str) -> str:
        return prompt

    @otelext.inference("chat")
    @staticmethod
    async def static_outer(prompt: str) -> str:
        return prompt

    @property
    @otelext.stage("fetch")
    def prop(self) -> str:
        return self.name


METHODS = (
    "method",
    "generator",
    "coroutine",
    "async_generator",
    "class_inner",
    "class_outer",
    "static_inner",
    "static_outer",
)


@pytest.mark.parametrize("name", METHODS)
def test_methods_run_and_pickle(captured: Captured, name: str) -> None:
    service = Service()
    expected: Any = {
        "method": "sp",
        "generator": ["sp"],
        "coroutine": "sp",
        "async_generator": ["sp"],
        "class_inner": ["Servicep"],
        "class_outer": ["Servicep"],
        "static_inner": "p",
        "static_outer": "p",
    }[name]
    bound = getattr(service, name)
    assert run(bound("p")) == expected
    assert run(bound(prompt="p")) == expected if name != "method" else True
    if name.startswith(("class", "static")):
        assert run(getattr(Service, name)("p")) == expected
    else:
        assert run(getattr(Service, name)(service, "p")) == expected
        assert bound.__self__ is service
        assert bound == getattr(service, name)
    assert inspect.iscoroutinefunction(bound) is (name in {"coroutine", "static_inner", "static_outer"})
    assert list(inspect.signature(bound).parameters) == ["prompt"]
    with pytest.raises(TypeError, match="prompt"):
        bound()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="a partial in a class becomes a method in Python 3.14")
@pytest.mark.parametrize("plain", [coroutine, generator, async_generator])
def test_what_is_no_method_in_a_class_becomes_none(captured: Captured, plain: Any) -> None:
    class Tools:
        partial: Any = otelext.inference("chat")(functools.partial(plain, "ab"))
        bound: Any = otelext.inference("chat")(Service("x").generator)

    assert run(Tools().partial()) == run(plain("ab"))
    assert run(Tools().bound("p")) == ["xp"]
    assert len(captured.inferences()) == 3


@pytest.mark.parametrize("name", METHODS)
def test_bound_methods_pickle_where_the_class_can_be_found(name: str, monkeypatch: Any) -> None:
    module = types.ModuleType("service")
    module.__dict__["Service"] = Service
    monkeypatch.setitem(sys.modules, "service", module)
    monkeypatch.setattr(Service, "__module__", "service")
    method = inspect.getattr_static(Service, name)
    monkeypatch.setattr(getattr(method, "__func__", method), "__module__", "service")
    bound = getattr(Service(), name)
    again = pickle.loads(pickle.dumps(bound))
    assert run(again("p")) == run(bound("p"))


def test_properties_and_abstract_methods(captured: Captured) -> None:
    import abc

    assert Service().prop == "s"
    assert [span.name for span in captured.spans()] == ["fetch"]

    class Abstract(abc.ABC):
        @otelext.inference("chat")
        @abc.abstractmethod
        def generate(self) -> Iterator[str]:
            yield ""

    with pytest.raises(TypeError, match="abstract"):
        Abstract()  # type: ignore[abstract]


def test_the_model_may_come_from_the_calls_arguments(captured: Captured) -> None:
    Service("large").method("p")
    assert captured.inferences()[0].model == "large-p"


def test_only_what_can_be_called_can_be_decorated(decorator: Any) -> None:
    for wrong in (5, "name", None, object()):
        with pytest.raises(TypeError, match=r"decorated, not"):
            decorator(wrong)


def test_a_decorated_generator_makes_a_context_manager(captured: Captured) -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    @otelext.inference("chat")
    def session() -> Iterator[str]:
        try:
            yield "s"
        except KeyError:
            seen.append("caught")
        finally:
            seen.append("left")

    with session() as value:
        assert value == "s"
        assert not trace.get_current_span().get_span_context().is_valid
    with session():
        raise KeyError
    with pytest.raises(ValueError, match="x"), session():
        raise ValueError("x")
    assert seen == ["left", "caught", "left", "left"]
    assert [i.outcome for i in captured.inferences()] == ["completed", "completed", "error"]


async def test_a_decorated_async_generator_makes_an_async_context_manager(captured: Captured) -> None:
    @contextlib.asynccontextmanager
    @otelext.inference("chat")
    async def session() -> AsyncIterator[str]:
        yield "s"

    async with session() as value:
        assert value == "s"
    with pytest.raises(ValueError, match="x"):
        async with session():
            raise ValueError("x")
    assert [i.outcome for i in captured.inferences()] == ["completed", "error"]


def test_an_exit_stack_holds_them(captured: Captured) -> None:
    with contextlib.ExitStack() as stack:
        inf = stack.enter_context(otelext.inference("chat"))
        stack.enter_context(otelext.stage("decode"))
        assert otelext.current_inference() is inf
    assert [span.name for span in captured.spans()] == ["decode", "chat"]


def test_one_object_is_decorator_and_context_manager_again_and_again(captured: Captured) -> None:
    chat, decode = otelext.inference("chat"), otelext.stage("decode")

    @chat
    @decode
    def both() -> None:
        with chat, decode, decode:
            pass

    both()
    both()
    with chat as outer, chat as inner:
        assert outer is not inner
        assert otelext.current_inference() is inner
    assert len(captured.spans("chat")) == 6
    assert len(captured.spans("decode")) == 6


def test_context_managers_left_in_another_order_leave_nothing(captured: Captured) -> None:
    a, b, c = otelext.inference("a"), otelext.stage("b"), otelext.inference("c")
    for manager in (a, b, c):
        manager.__enter__()
    for manager in (b, a, c):
        manager.__exit__(None, None, None)
    assert not trace.get_current_span().get_span_context().is_valid
    assert sorted(span.name for span in captured.spans()) == ["a", "b", "c"]


def test_leaving_what_was_never_entered_changes_nothing(captured: Captured) -> None:
    otelext.inference("chat").__exit__(None, None, None)
    otelext.stage("decode").__exit__(None, None, None)
    with otelext.inference("chat") as inf:
        manager = otelext.stage("decode")
        with manager:
            pass
        manager.__exit__(None, None, None)
        assert otelext.current_inference() is inf
    assert len(captured.spans()) == 2


def test_one_stage_object_entered_by_many_threads_at_once(captured: Captured) -> None:
    import threading

    decode = otelext.stage("decode")
    barrier = threading.Barrier(4)

    def work(index: int) -> None:
        for _ in range(25):
            with otelext.inference("chat", model=str(index)), decode:
                barrier.wait(10)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    parents = {span.context.span_id: span for span in captured.spans() if span.context and span.name != "decode"}
    decodes = captured.spans("decode")
    assert len(parents) == len(decodes) == 100
    assert {span.parent.span_id for span in decodes if span.parent} == set(parents)


async def test_one_stage_object_entered_by_many_tasks_at_once(captured: Captured) -> None:
    decode, chat = otelext.stage("decode"), otelext.inference("chat")

    async def work(turns: int) -> None:
        async with chat as inf, decode:
            for _ in range(turns):
                await asyncio.sleep(0)
            assert otelext.current_inference() is inf

    await asyncio.gather(*(work(turns) for turns in (5, 1, 3, 4, 2)))
    parents = {span.context.span_id for span in captured.spans("chat") if span.context}
    assert {span.parent.span_id for span in captured.spans("decode") if span.parent} == parents
    assert len(parents) == 5


# --- what a function returns -------------------------------------------------------------------------------------------


class Stream(Iterator[str]):
    """An SDK's stream: an iterator with attributes, and a context manager."""

    response = "200"

    def __init__(self) -> None:
        self.left = ["a", "b"]
        self.closed = False

    def __next__(self) -> str:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def until_done(self) -> list[str]:
        return list(self)


@otelext.inference("chat")
def stream() -> Stream:
    return Stream()


def test_a_returned_iterator_keeps_its_attributes_and_type(captured: Captured) -> None:
    with stream() as running:
        assert isinstance(running, Stream)
        assert running.response == "200"
        assert not hasattr(running, "nothing")
        assert list(running) == ["a", "b"]
        assert not running.closed
    assert running.closed
    assert [i.outcome for i in captured.inferences()] == ["completed"]


def test_leaving_a_returned_iterator_early_abandons_it(captured: Captured) -> None:
    with stream() as running:
        next(running)
    with pytest.raises(KeyError), stream():
        raise KeyError
    assert [i.outcome for i in captured.inferences()] == ["abandoned", "error"]


class AsyncStream(AsyncIterator[str]):
    """An SDK's stream: an async iterator with attributes, and an async context manager."""

    response = "200"

    def __init__(self) -> None:
        self.left = ["a", "b"]
        self.closed = False

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True


async def test_a_returned_async_iterator_keeps_its_attributes_and_type(captured: Captured) -> None:
    @otelext.inference("chat")
    async def stream() -> AsyncStream:
        return AsyncStream()

    async with await stream() as running:
        assert isinstance(running, AsyncStream)
        assert running.response == "200"
        assert [chunk async for chunk in running] == ["a", "b"]
    assert running.closed
    async with await stream() as running:
        await anext(running)
    with pytest.raises(KeyError):
        async with await stream():
            raise KeyError
    assert [i.outcome for i in captured.inferences()] == ["completed", "abandoned", "error"]


def test_returned_generators_are_generators(captured: Captured) -> None:
    @otelext.inference("chat")
    def sync() -> Generator[str, None, None]:
        return generator("a")  # type: ignore[return-value]

    @otelext.inference("chat")
    def asynchronous() -> AsyncGenerator[str, None]:
        return async_generator("a")

    one, other = sync(), asynchronous()
    assert inspect.isgenerator(one)
    assert inspect.getgeneratorstate(one) == inspect.GEN_CREATED
    assert inspect.isasyncgen(other)

    def delegate() -> Generator[str, None, Any]:
        return (yield from one)

    running = delegate()
    assert next(running) == "a"
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == 1
    assert run(other) == ["a"]
    assert [i.outcome for i in captured.inferences()] == ["completed", "completed"]


def test_an_open_file_is_returned_as_it_is(captured: Captured, tmp_path: Any) -> None:
    (tmp_path / "page").write_bytes(b"pixels")

    @otelext.stage("fetch")
    def fetch() -> io.BufferedReader:
        return (tmp_path / "page").open("rb")  # type: ignore[no-any-return]

    with fetch() as page:
        assert type(page) is io.BufferedReader
        assert [span.name for span in captured.spans()] == ["fetch"]
        assert page.read() == b"pixels"


@pytest.mark.parametrize("value", [None, [1, 2], "text", {"a": 1}, (1,), b"", range(3)])
def test_what_is_no_stream_is_returned_as_it_is(captured: Captured, value: Any) -> None:
    assert otelext.inference("chat")(lambda: value)() is value
    assert [i.outcome for i in captured.inferences()] == ["completed"]


def test_an_object_with_an_odd_body_is_returned_as_it_is(captured: Captured) -> None:
    class Odd:
        @property
        def body_iterator(self) -> Any:
            raise RuntimeError

    odd = Odd()
    assert otelext.inference("chat")(lambda: odd)() is odd
    double = mock.Mock()
    assert otelext.inference("chat")(lambda: double)() is double
    assert [i.outcome for i in captured.inferences()] == ["completed", "completed"]


def test_a_stage_and_an_inference_may_share_a_stream(captured: Captured) -> None:
    @otelext.inference("chat")
    @otelext.stage("decode")
    def answer() -> Iterator[str]:
        return iter(["a", "b"])

    assert list(answer()) == ["a", "b"]
    assert [i.outcome for i in captured.inferences()] == ["completed"]
    assert captured.inferences()[0].output_tokens == 2
    chat, decode = captured.spans("chat")[0], captured.spans("decode")[0]
    assert chat.context is not None
    assert decode.parent is not None
    assert decode.parent.span_id == chat.context.span_id


def test_stages_inside_a_returned_stream_belong_to_the_inference(captured: Captured) -> None:
    def engine() -> Iterator[str]:
        with otelext.stage("prefill"):
            pass
        yield "a"

    for answer in (
        otelext.inference("chat")(engine),
        otelext.inference("chat")(lambda: iter(engine())),
        otelext.inference("chat")(lambda: iter(list(engine()))),
        otelext.inference("chat")(lambda: otelext.current_inference().stream(engine())),
    ):
        assert list(answer()) == ["a"]
    assert [[s.name for s in i.stages] for i in captured.inferences()] == [["prefill"]] * 4


async def test_they_run_in_threads(captured: Captured) -> None:
    assert await asyncio.to_thread(inferred_function, "ab") == 2
    assert await asyncio.to_thread(lambda: list(inferred_generator("ab"))) == ["ab"]
    assert len(captured.spans("chat m")) == 2
