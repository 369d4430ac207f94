"""Something to do behind a module's own code, as soon as anyone imports it: wrapt's hooks would load all of asyncio."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any, Final

from otelext.capture.failure import report_setup

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec


def when_imported(name: str, apply: Callable[[Any], object]) -> None:
    """Have `apply` called with a module: now if it is loaded, else once it is.

    Args:
        name: The module's full name.
        apply: Takes the module; a second time must do no harm. What it raises later is logged.
    """
    if (module := sys.modules.get(name)) is not None:
        apply(module)
        return
    waiting = _AWAITED.waiting.setdefault(name, [])
    if apply not in waiting:
        waiting.append(apply)
    if _AWAITED not in sys.meta_path:
        sys.meta_path.insert(0, _AWAITED)


class _Awaited(MetaPathFinder):
    """Finds what is waited for as the finders behind it do, and has the rest done behind the module's own code.

    Attributes:
        waiting: What is to be called, by the module's name.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[Any], object]]] = {}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """As the finders behind this one say."""
        if fullname not in self.waiting:
            return None
        for finder in tuple(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                self._apply_behind(spec.loader, fullname)
                return spec
        return None

    def _apply_behind(self, loader: Any, name: str) -> None:
        run = getattr(loader, "exec_module", None)
        if run is None:
            return

        def exec_module(module: Any) -> None:
            run(module)
            waiting = self.waiting.pop(name, ())
            if not self.waiting:
                sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
            for apply in waiting:
                try:
                    apply(module)
                except Exception:  # noqa: BLE001  # the module goes without
                    report_setup(f"otelext could not set up {name}", exc_info=True)

        loader.exec_module = exec_module


_AWAITED: Final = _Awaited()
