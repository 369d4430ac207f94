"""FastAPI's instrumentation, used as it is with two settings of ours: no span a chunk, and our middleware inside.

The middleware stands directly inside OpenTelemetry's, hence below the SERVER span and around everything of the user's:
admission holds the upload and the user's own middlewares, and answers to unhandled errors carry the request's id too.
"""

from __future__ import annotations

import functools
import sys
import types
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any, Final

from otelext.capture.failure import report
from otelext.distro.leaving import LEAVING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_INSTRUMENTATION: Final = "opentelemetry.instrumentation.fastapi"
_NO_SPAN_A_CHUNK: Final = ("receive", "send")
_DEPTH: Final = 20


def prepare() -> None:
    """Apply the settings as soon as the instrumentation is imported, whoever instruments the application."""
    if (module := sys.modules.get(_INSTRUMENTATION)) is not None:
        _apply(module)
    elif not any(type(finder) is _Awaited for finder in sys.meta_path):
        sys.meta_path.insert(0, _Awaited())


class _Awaited(MetaPathFinder):
    """Applies the settings behind the instrumentation's own code, whoever imports it: wrapt would load all of asyncio."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """As the finders behind this one say."""
        if fullname != _INSTRUMENTATION:
            return None
        for finder in tuple(sys.meta_path):
            find = None if type(finder) is _Awaited else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                _apply_behind(spec.loader)
                return spec
        return None


def _apply_behind(loader: Any) -> None:
    run = getattr(loader, "exec_module", None)
    if run is None:
        return

    def exec_module(module: Any) -> None:
        run(module)
        sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder) is not _Awaited]
        try:
            _apply(module)
        except Exception:  # noqa: BLE001  # the instrumentation goes without our settings
            report("otelext could not set up FastAPI's instrumentation", exc_info=True)

    loader.exec_module = exec_module


def _apply(module: Any) -> None:
    instrumentor = module.FastAPIInstrumentor
    original = instrumentor.instrument_app
    if getattr(original, "_otelext", False):
        return

    @functools.wraps(original)
    def instrument_app(app: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("exclude_spans") is None and not args:
            kwargs["exclude_spans"] = list(_NO_SPAN_A_CHUNK)
        original(app, *args, **kwargs)
        try:
            _add_middleware(app)
        except Exception:  # noqa: BLE001  # the application runs without
            report("otelext could not add its middleware to a FastAPI application", exc_info=True)

    instrument_app._otelext = True  # type: ignore[attr-defined]  # noqa: SLF001
    instrumentor.instrument_app = staticmethod(instrument_app)


def _add_middleware(app: Any) -> None:
    build = app.build_middleware_stack
    if getattr(build, "_otelext", False):
        return

    @functools.wraps(build)
    def build_middleware_stack(self: Any) -> Any:  # noqa: ARG001  # a method
        return _with_middleware(build())

    build_middleware_stack._otelext = True  # type: ignore[attr-defined]  # noqa: SLF001
    app.build_middleware_stack = types.MethodType(build_middleware_stack, app)


def _with_middleware(stack: Any) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: PLC0415  # comes with FastAPI's

    from otelext.asgi import OtelextMiddleware  # noqa: PLC0415  # needs asyncio, as every such application

    node = stack
    for _ in range(_DEPTH):
        if isinstance(node, OpenTelemetryMiddleware):
            node.app = OtelextMiddleware(node.app, on_shutdown=LEAVING.flush)
            return stack
        node = getattr(node, "app", None)
    return OtelextMiddleware(stack, on_shutdown=LEAVING.flush)
