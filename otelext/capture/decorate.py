"""Decoration: the same function to everyone who looks, with a measurement around each call."""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from otelext.capture.binding import attach_early
from otelext.capture.context import attach, get_current, leave
from otelext.capture.drive import Awaited, Reference, drive, drive_async, drive_coroutine
from otelext.capture.iterators import adopt

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.capture.run import Run

_F = TypeVar("_F", bound="Callable[..., Any]")


class Begin(Protocol):
    """Starts a measurement for a call; None where that failed. Never raises."""

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], start_ns: int | None) -> Run | None:
        """Start, at `start_ns` (on `perf_counter_ns`) or now."""


def decorate(function: _F, begin: Begin) -> _F:
    """`function`, measured.

    Raises:
        TypeError: If `function` can't be called.
    """
    if isinstance(function, (classmethod, staticmethod)):
        return cast("_F", type(function)(decorate(function.__func__, begin)))
    if not callable(function):
        msg = f"only a function can be decorated, not {function!r}"
        raise TypeError(msg)
    for is_kind, kind in (
        (inspect.isasyncgenfunction, _AsyncGeneratorFunction),
        (inspect.isgeneratorfunction, _GeneratorFunction),
        (inspect.iscoroutinefunction, _CoroutineFunction),
    ):
        if is_kind(function):
            return cast("_F", kind(function, begin))
    return cast("_F", _function(function, begin))


def _function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        run = begin(args, kwargs, None)
        if run is None:
            return function(*args, **kwargs)
        outer = get_current()
        attach(run.context)
        try:
            result = function(*args, **kwargs)
        except BaseException as exc:
            run.fail(exc)
            raise
        finally:
            leave(run.context, outer)
        if type(result) is types.CoroutineType:
            running: Any = drive_coroutine(Awaited(result, run), lambda: run)
            running.__name__, running.__qualname__ = result.__name__, result.__qualname__
            return running
        return adopt(run, result)

    return measured


class _Function:
    """A decorated generator, async generator or coroutine function.

    A wrapper of the same kind would take any arguments and complain when first stepped; this one calls the function
    right away, so that a wrong call fails where it is made. It looks like the function to `inspect`, `pickle`,
    `copy` and as a method.
    """

    def __init__(self, function: Callable[..., Any], begin: Begin) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self._function = function
        self._begin = begin
        plain: Any = function
        while isinstance(plain, functools.partial):
            plain = plain.func
        self._plain = plain

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # what makes isinstance() say that it is a function
        return types.FunctionType

    def __getattr__(self, name: str) -> Any:
        if name in {"_function", "_plain", "_begin"}:  # not yet there
            raise AttributeError(name)
        try:
            return getattr(self._function, name)  # __code__, __defaults__, __globals__, ...
        except AttributeError:
            return getattr(self._plain, name)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None or not isinstance(self._function, types.FunctionType):  # a partial or a bound method
            return self
        return types.MethodType(cast("Callable[..., Any]", self), instance)

    def __repr__(self) -> str:
        return repr(self._function)

    def __reduce_ex__(self, protocol: object) -> str:
        return str(self._plain.__qualname__)

    def _name(self, running: Any) -> None:
        running.__name__ = self._plain.__name__
        running.__qualname__ = self._plain.__qualname__


class _GeneratorFunction(_Function):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inner = self._function(*args, **kwargs)
        reference = Reference()
        running = drive(inner, lambda: self._begin(args, kwargs, None), reference)
        reference.generator = weakref.ref(running)
        self._name(running)
        return running


class _AsyncGeneratorFunction(_Function):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inner = self._function(*args, **kwargs)
        reference = Reference()
        running = drive_async(inner, lambda: self._begin(args, kwargs, None), reference)
        reference.generator = weakref.ref(running)
        self._name(running)
        return running


class _CoroutineFunction(_Function):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inner = self._function(*args, **kwargs)
        attach_early()
        start_ns = perf_counter_ns()
        running = drive_coroutine(Awaited(inner), lambda: self._begin(args, kwargs, start_ns))
        self._name(running)
        return running
