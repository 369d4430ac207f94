"""The Go that builds the servers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .servers import TOOLS, TOOLS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT: Final = {"CGO_ENABLED": "0", "GOWORK": "off"}
# What of its settings ends up in a program; proxy, checksum database and caches do not.
FACTS: Final = ("GOVERSION", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFLAGS")


class NoGo(Exception):
    """No Go that can build the servers; the message is one sentence that says what to do instead."""


@dataclass(frozen=True)
class Go:
    """A toolchain, and its settings that decide what is built."""

    facts: Mapping[str, str]
    toolchain: str
    """For GOTOOLCHAIN."""

    @property
    def environment(self) -> dict[str, str]:
        """What its commands run in: the user's own settings, and ours."""
        return {**os.environ, **ENVIRONMENT, "GOTOOLCHAIN": self.toolchain}


def find_go() -> Go:
    """The Go on PATH, or the newer one that it fetches by itself where its GOTOOLCHAIN permits. Raises NoGo."""
    newest = max(TOOLS, key=lambda tool: _numbers(tool.go))
    instead = (
        f"install Go {newest.go} or newer (https://go.dev/dl), "
        "or run the official images: docker compose -f docker-compose.otel.yml up"
    )
    try:
        facts = _facts(TOOLS_FOLDER, GOTOOLCHAIN="local")
    except FileNotFoundError:
        raise NoGo(f"no Go is on PATH to build the servers with: {instead}") from None
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        raise NoGo(f"the Go on PATH does not run ({str(said).strip()}): {instead}") from None
    if _numbers(facts["GOVERSION"]) >= _numbers(newest.go):
        return Go(facts, "local")
    # One toolchain for all: left alone, Go would fetch one for each go.mod and compile its library with each.
    try:
        fetched = _facts(newest.folder)
    except subprocess.CalledProcessError:
        fetched = facts
    if _numbers(fetched["GOVERSION"]) < _numbers(newest.go):
        raise NoGo(f"{facts['GOVERSION'] or 'the Go on PATH'} is too old to build the servers: {instead}")
    return Go(fetched, fetched["GOVERSION"])


def _facts(folder: Path, **settings: str) -> dict[str, str]:
    command = ["go", "env", "-json", *FACTS]
    answer = subprocess.run(  # noqa: S603  # the Go on PATH is the one that is meant
        command,
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    facts: dict[str, str] = json.loads(answer.stdout)
    return {name: facts.get(name, "") for name in FACTS}


def _numbers(version: str) -> tuple[int, ...]:
    found = re.search(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
