"""`inference`: the decorator and context manager around a request to a model; and `current_inference`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider

from otelext import semconv
from otelext.capture.binding import Binding
from otelext.capture.context import SCOPE_KEY, attach, get_current, leave, open_inference
from otelext.capture.decorate import decorate
from otelext.capture.failure import report
from otelext.capture.inference import Inference

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_F = TypeVar("_F", bound="Callable[..., Any]")

_INERT = Inference("none", binding=Binding(NoOpTracerProvider(), NoOpMeterProvider()))

DECLARED_MODELS: set[str] = set()
"""Models named in decorators: they keep their place under the limit of models on metrics."""


def current_inference() -> Inference:
    """The inference that runs here.

    Returns:
        The innermost open inference. Outside of any, one that takes every call and keeps nothing, so that code
        which is also called without an inference needs no test.
    """
    return open_inference(get_current()) or _INERT


class inference:  # noqa: N801  # used as a decorator and in `with`, as `contextlib.suppress` is
    """Measure a request to a model: one span, TTFT, TPOT, tokens, stages and the outcome.

    A decorator (functions, coroutines, generators, async generators, and functions that return an iterator, an
    async iterator or a response with `body_iterator`), a context manager and an async context manager, both of
    which give the `Inference`. Definitions: `docs/measurement.md`.

    Args:
        operation: `gen_ai.operation.name`, such as `chat` or `text_completion`.
        model: The model, or a callable that gets the call's arguments and returns it.
        provider: `gen_ai.provider.name`, such as `vllm`.
        model_version: Revision or adapter of the model.
        tokens: Number of tokens of a chunk, 0 where it holds no output. Without it every chunk that holds output
            is one token until the engine reports usage.

    Raises:
        TypeError: At decoration, if an argument is of the wrong type. As a context manager it never raises: a bad
            argument is logged and nothing is measured.
        ValueError: At decoration, if a name is empty.
    """

    def __init__(
        self,
        operation: str,
        *,
        model: str | Callable[..., str | None] | None = None,
        provider: str | None = None,
        model_version: str | None = None,
        tokens: Callable[[Any], int] | None = None,
    ) -> None:
        self._error = _argument_error(operation, model, provider, model_version, tokens)
        self._operation = operation if isinstance(operation, str) and operation else "other"
        self._model = model
        self._provider = provider
        self._model_version = model_version
        self._tokens = tokens
        self._running: list[Inference | None] = []

    def __call__(self, function: _F) -> _F:
        """Decorate `function`."""
        if self._error is not None:
            raise self._error
        # Bounded, since a decorator may stand in a function that each request calls.
        if isinstance(self._model, str) and len(DECLARED_MODELS) < semconv.MAX_VALUES:
            DECLARED_MODELS.add(self._model)
        return decorate(function, self._begin)

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any], start_ns: int | None) -> Inference | None:
        model = self._model
        try:
            if callable(model):
                model = self._ask(model, args, kwargs)
            return Inference(
                self._operation,
                model=model,
                provider=self._provider,
                model_version=self._model_version,
                tokens=self._tokens,
                start_ns=start_ns,
            )
        except Exception:  # noqa: BLE001  # the user's code runs unmeasured
            report("otelext could not start an inference", exc_info=True)
            return None

    @staticmethod
    def _ask(model: Callable[..., str | None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        try:
            name = model(*args, **kwargs)
        except Exception:  # noqa: BLE001  # the user's callable
            report("otelext: model= raised; the inference goes without a model", exc_info=True)
            return None
        if name is None or (isinstance(name, str) and name):
            return name
        report("otelext: model= returned %r, which is no model's name", name)
        return None

    def __enter__(self) -> Inference:
        if self._error is not None:
            report("otelext: %s", self._error)
        running = self._begin((), {}, None) if self._error is None else None
        self._running.append(running)
        if running is None:
            return _INERT
        attach(running.context)
        return running

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        running = self._pop()
        if running is None:
            return
        if exc is None:
            running.succeed()
        else:
            running.fail(exc)
        leave(running.context, running.outer)

    async def __aenter__(self) -> Inference:
        running = self.__enter__()
        running.remember_task()
        return running

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, exc, tb)

    def __del__(self) -> None:
        # Entered by hand and never left: whatever still runs ends with the object that could have ended it.
        for running in self.__dict__.get("_running", ()):
            if running is not None:
                running.fail(GeneratorExit(), holding=True, collected=True)

    def _pop(self) -> Inference | None:
        running = self._running
        if len(running) > 1:
            # One object entered several times, perhaps by several threads or tasks: leave the one that runs here.
            scope: Any = get_current().get(SCOPE_KEY)
            with suppress(ValueError):
                running.remove(scope)
                return cast("Inference", scope)
        return running.pop() if running else None


def _argument_error(
    operation: object, model: object, provider: object, model_version: object, tokens: object
) -> TypeError | ValueError | None:
    for name, value in (("operation", operation), ("provider", provider), ("model_version", model_version)):
        if value is None and name != "operation":
            continue
        if not isinstance(value, str):
            return TypeError(f"{name} is a str, not {value!r}")
        if not value:
            return ValueError(f"{name} is empty; give a name such as {'chat' if name == 'operation' else 'vllm'!r}")
    if model is not None and not callable(model) and not isinstance(model, str):
        return TypeError(f"model is a str or a callable that returns one, not {model!r}")
    if model == "":
        return ValueError("model is empty; leave it out where there is no name")
    if tokens is not None and not callable(tokens):
        return TypeError(f"tokens is a callable that returns the tokens of a chunk, not {tokens!r}")
    return None
