"""Names of spans and events: those that are written in the program, or made of what may leave anyway."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.processors.redaction import literals
from otelext.processors.redaction.words import is_conventional
from otelext.processors.redaction.written import WRITTEN, main_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MAX_SCOPES: Final = 4096
_MAX_FILES: Final = 2000
_MAX_FILES_OF_PACKAGE: Final = 200  # some have thousands, and take minutes to read
_LOOK_AGAIN_S: Final = 1.0
_READ_AGAIN_S: Final = 10.0
_KNOWN: Final = frozenset(
    {
        semconv.EXCEPTION_EVENT,
        semconv.FIRST_TOKEN_EVENT,
        semconv.INFERENCE_EVENT,
        semconv.LINES_LEFT_OUT_EVENT,
        *semconv.STREAMED_CHUNK_EVENTS,
        *semconv.KNOWN_STAGES,
    }
)
_COMPOSED: Final = frozenset({"opentelemetry", "otelext"})  # names of their spans are made of what leaves, or known
_WORD: Final = r"[a-z]{1,24}[0-9]{0,2}"
_PARTS: Final = r"[._/-]"
_SEPARATORS: Final = r"[\s/]+"


class Names:
    """Which names leave. `leaves` may read source files: it is for exporters' threads, not for requests."""

    def __init__(self) -> None:
        self._files: tuple[str, ...] = ()  # replaced as a whole: no lock, which a fork could leave locked
        self._packages: dict[str, tuple[float, frozenset[str]]] = {}
        self._seen_modules = 0
        self._looked = -_LOOK_AGAIN_S

    def leaves(self, name: object, scope: str | None, attributes: Mapping[str, Any]) -> bool:
        """Whether a name may leave.

        Args:
            name: The name of a span or event.
            scope: The instrumentation scope's name.
            attributes: Attributes that leave with it.
        """
        if not isinstance(name, str):
            return False
        if name in _KNOWN or name in WRITTEN:
            return True
        if self._is_composed(name, attributes):
            return True
        if self._is_written(name, scope):
            WRITTEN.note(name)
            return True
        return False

    def names_code(self, name: str) -> bool:
        """Whether a scope's or logger's name is that of a module, of a class in one, or written in the source."""
        return name in sys.modules or _is_code(name) or self.leaves(name, name, {})

    def _is_composed(self, name: str, attributes: Mapping[str, Any]) -> bool:
        """Whether a name is made of values of attributes that leave, the conventions' own words, and names of code."""
        rest = name
        for value in sorted((v for v in attributes.values() if isinstance(v, str) and v), key=len, reverse=True):
            # By whole words, or a short value would take a part out of any word.
            rest = f" {rest} ".replace(f" {value} ", " ").strip()
        words = (word for word in re.split(_SEPARATORS, rest) if word)
        return all(is_conventional(word) or _is_code(word) or self._is_function(word) for word in words)

    def _is_function(self, word: str) -> bool:
        """Whether a word is the name of a function or class of the program's own."""
        if not word.isidentifier():
            return False
        self._look()
        return any(word in source.functions for source in map(literals.of, self._files) if source is not None)

    def names_instrument(self, name: str, scope: str) -> bool:
        """Whether an instrument's name is written in the program, or is made of plain words.

        Many are put together once, of words; instruments are not made for each request.
        """
        plain = all(re.fullmatch(_WORD, word) for word in re.split(_PARTS, name))
        return plain or name in semconv.METRICS or self.leaves(name, scope, {})

    def describes(self, text: str, scope: str) -> bool:
        """Whether an instrument's description is written in the program."""
        return not text or is_ours_or_of_opentelemetry(scope) or text in WRITTEN or self._is_written(text, scope)

    def _is_written(self, name: str, scope: str | None) -> bool:
        self._look()
        if any(name in source.strings for source in map(literals.of, self._files) if source is not None):
            return True
        return scope is not None and name in self._of_package(scope)

    def _look(self) -> None:
        """Find the program's own source files: what is neither Python's nor installed."""
        now = monotonic()
        if len(sys.modules) == self._seen_modules or now - self._looked < _LOOK_AGAIN_S:
            return
        self._looked, self._seen_modules = now, len(sys.modules)
        installed = _installed()
        own = {file: None for file in _files_of(sys.modules.values()) if not file.startswith(installed)}
        if (main := main_file()) is not None:
            own[main] = None
        self._files = tuple(own)[:_MAX_FILES]

    def _of_package(self, scope: str) -> frozenset[str]:
        """String constants of the installed package that a scope is named after, the module itself first."""
        now = monotonic()
        found = self._packages.get(scope)
        if found is not None and now - found[0] < _READ_AGAIN_S:
            return found[1]
        package = scope.partition(".")[0]
        if package not in sys.modules or package in _COMPOSED:
            return frozenset()
        names = [name for name in tuple(sys.modules) if name == package or name.startswith(f"{package}.")]
        names.sort(key=lambda name: (not f"{name}.".startswith(f"{scope}."), name.count(".")))
        strings: set[str] = set()
        for file in _files_of([sys.modules.get(name) for name in names[:_MAX_FILES_OF_PACKAGE]]):
            source = literals.of(file)
            if source is not None:
                strings |= source.strings
        if len(self._packages) >= _MAX_SCOPES:
            self._packages.clear()
        self._packages[scope] = (now, frozenset(strings))
        return self._packages[scope][1]


def is_ours_or_of_opentelemetry(scope: str) -> bool:
    """Whether a scope's name is that of a loaded module of OpenTelemetry, or our own."""
    ours = scope in {semconv.SCOPE_NAME, "opentelemetry-sdk"}
    return ours or (scope in sys.modules and scope.startswith("opentelemetry."))


def _is_code(word: str) -> bool:
    """Whether a word names a function or class of a loaded module, in full."""
    module, _, last = word.rpartition(".")
    file = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(file, str) and literals.has_function(file, last)


def _files_of(modules: Iterable[Any]) -> Iterator[str]:
    for module in tuple(modules):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            yield file


def _installed() -> tuple[str, ...]:
    import site  # noqa: PLC0415  # these two take milliseconds of a start that needs them seldom
    import sysconfig  # noqa: PLC0415

    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        folders.add(site.getusersitepackages())
    # Our own code says nothing that is not composed or known; a checkout of it stands outside of these.
    folders.add(str(Path(__file__).parents[2]))
    return tuple(f"{folder.rstrip('/')}/" for folder in folders)


NAMES: Final = Names()
"""The process's names."""
