"""FastAPI's instrumentation, used as it is with two settings of ours: no span a chunk, and our middleware inside.

The middleware stands directly inside OpenTelemetry's, hence below the SERVER span and around everything of the user's:
admission holds the upload and the user's own middlewares, and answers to unhandled errors carry the request's id too.
"""

from __future__ import annotations

import functools
import types
from typing import Any, Final

from otelext.capture.failure import report
from otelext.distro.awaited import when_imported
from otelext.distro.leaving import LEAVING

_INSTRUMENTATION: Final = "opentelemetry.instrumentation.fastapi"
_NO_SPAN_A_CHUNK: Final = ("receive", "send")
_DEPTH: Final = 20


def prepare() -> None:
    """Apply the settings as soon as the instrumentation is imported, whoever instruments the application."""
    when_imported(_INSTRUMENTATION, _apply)


def _apply(module: Any) -> None:
    _keep_paths_out(module)
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


def _keep_paths_out(module: Any) -> None:
    """Let no path of a request pass for a route: the instrumentation takes it where a `Host` route matches."""
    original = getattr(module, "_get_route_details", None)
    flatten = getattr(module, "_flatten_routes", tuple)
    if original is None or getattr(original, "_otelext", False):
        return

    @functools.wraps(original)
    def get_route_details(scope: Any) -> str | None:
        route: str | None = original(scope)
        if route is None or route != scope.get("path"):
            return route
        routes = getattr(scope.get("app"), "routes", ())
        return route if any(getattr(found, "path", None) == route for found in flatten(routes)) else None

    get_route_details._otelext = True  # type: ignore[attr-defined]  # noqa: SLF001
    module._get_route_details = get_route_details  # noqa: SLF001


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
