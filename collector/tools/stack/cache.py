"""Where the built servers lie, for all checkouts alike."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .servers import TOOLS, Tool
from .toolchain import ENVIRONMENT, Go, find_go


class NotBuilt(Exception):
    """Servers are missing from the cache."""


def cache_folder() -> Path:
    """Named by OTELEXT_STACK_CACHE, else in the user's cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    named = os.environ.get("OTELEXT_STACK_CACHE") or f"{caches}/otelext/stack"
    return Path(named).expanduser().absolute()


@dataclass(frozen=True)
class Place:
    """The folder that holds a tool's programs once all of them are built."""

    tool: Tool
    go: Go
    folder: Path

    @classmethod
    def of(cls, tool: Tool, go: Go) -> Place:
        """Named after everything that decides what is built."""
        settings = json.dumps([tool.flags, ENVIRONMENT, dict(go.facts)], sort_keys=True).encode()
        parts = [settings, *(path.read_bytes() for path in tool.inputs)]
        key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:12]
        return cls(tool, go, cache_folder() / f"{tool.name}-{tool.version}-{key}")

    @property
    def filled(self) -> bool:
        """The folder is moved here in one step, when everything is in it."""
        return self.folder.is_dir()

    @property
    def log(self) -> Path:
        """What Go said while it built."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def programs(self) -> dict[str, Path]:
        """Each program's path by its name."""
        return {name: self.folder / name for name in self.tool.binaries}


def binaries() -> dict[str, Path]:
    """The path of every program by its name (otelcol, prometheus, promtool, ...), within milliseconds; builds nothing.

    Raises NotBuilt where one is missing, and NoGo where Go, whose version is a part of the path, is missing or too old.
    """
    go = find_go()
    places = [Place.of(tool, go) for tool in TOOLS]
    if missing := [place.tool.name for place in places if not place.filled]:
        raise NotBuilt(f"not in {cache_folder()} yet: {', '.join(missing)}; `make stack` builds them")
    return {name: path for place in places for name, path in place.programs.items()}
