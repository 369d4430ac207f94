"""`docker-compose.otel.yml` as native processes: the same arguments, files and variables, at other paths and ports.

Everything that a container would see at a path of its own is put into a folder of the test's, and every port becomes a
free one of loopback. The Collector's files are used as they are, since they take all of that from variables; of the
other servers' files copies are made, in which addresses and paths are replaced.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

from tests.compose.composition import ROOT, composition, mounts

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://opentelemetry.io/docs/collector/configuration/#environment-variables
_COLLECTOR_VARIABLE: Final = re.compile(r"\$\{env:(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_SECRETS: Final = "/run/secrets/"
_OWN_ADDRESS: Final = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|localhost):(\d{2,5})\b")
_OWN_PORT: Final = re.compile(r"(?<=listen[-_]port)(=|: *)(\d{2,5})\b")
_GIVEN: Final[set[int]] = set()


def free_port() -> int:
    """A port that nobody else takes, not even while its server is stopped.

    It is below those that systems give to outgoing connections (Linux from 32,768, gVisor from 16,000), and each
    worker of pytest-xdist has a range of its own.
    """
    first = 10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 4 * 1_500
    for port in SystemRandom().sample(sorted(set(range(first, first + 1_500)) - _GIVEN), 50):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _GIVEN.add(port)
            return port
    raise AssertionError("fifty ports are all taken")


def free_ports(count: int) -> list[int]:
    """As many such ports in a row."""
    for _ in range(50):
        first = free_port()
        row = list(range(first, first + count))
        if _GIVEN.isdisjoint(row[1:]) and all(map(_is_free, row)):
            _GIVEN.update(row)
            return row
    raise AssertionError(f"nowhere are {count} ports free in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


@dataclass(frozen=True)
class Command:
    """How a service is started."""

    binary: str
    arguments: list[str]
    environment: dict[str, str]


class Composition:
    """The services of the compose file, with what their containers see below `folder`."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.services: dict[str, dict[str, Any]] = composition(**variables)["services"]
        self._ports: dict[tuple[str, int], int] = {}
        names = "|".join(map(re.escape, self.services))
        self._address = re.compile(rf"\b({names}):(\d{{2,5}})\b")

    def port(self, service: str, port: int) -> int:
        """The free port that stands for a port of a service's container."""
        if (service, port) not in self._ports:
            self._ports[service, port] = free_port()
        return self._ports[service, port]

    def url(self, service: str, port: int) -> str:
        return f"http://127.0.0.1:{self.port(service, port)}"

    def path(self, service: str, path: str) -> Path:
        """Where a path in a service's container lies here."""
        return Path(self._with_paths(service, path))

    def command(self, service: str, binary: str, **more: str) -> Command:
        """The process that stands for a service's container; variables of its environment by keyword."""
        definition = self.services[service]
        environment = {
            name: str(self.port(service, int(value))) if name.endswith("_PORT") else self.localized(service, str(value))
            for name, value in definition.get("environment", {}).items()
        }
        arguments = [self.localized(service, str(argument)) for argument in definition.get("command") or ()]
        files = self._files(service)
        for target in set(self._targets(service)) - {target for _, target in files}:
            place = self.path(service, target)
            if target.startswith(_SECRETS):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            else:
                place.mkdir(parents=True, exist_ok=True)
        for source, target in files:
            if self._takes_variables(service):
                environment = {**self._defaults(service, source), **environment}
            else:
                copy = self.path(service, target)
                for file in (source,) if source.is_file() else source.rglob("*"):
                    if file.is_file():
                        place = copy / file.relative_to(source) if file != source else copy
                        place.parent.mkdir(parents=True, exist_ok=True)
                        place.write_text(self.localized(service, file.read_text()))
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return Command(binary, arguments, {**inherited, **environment, **more})

    def localized(self, service: str, text: str) -> str:
        """A text of a service's with the addresses and paths of this run."""
        text = self._address.sub(lambda found: f"127.0.0.1:{self.port(found[1], int(found[2]))}", text)
        known = set(self._ports.values())
        text = _OWN_ADDRESS.sub(
            lambda found: found[0] if int(found[1]) in known else f"127.0.0.1:{self.port(service, int(found[1]))}", text
        )
        text = _OWN_PORT.sub(lambda found: f"{found[1]}{self.port(service, int(found[2]))}", text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        return self._with_paths(service, text)

    def _with_paths(self, service: str, text: str) -> str:
        places = {target: self.folder / service / target.strip("/") for target in self._targets(service)}
        if self._takes_variables(service):
            places |= {target: source for source, target in self._files(service)}
        # In one pass: what was put in must not be taken for a path of the container.
        longest_first = "|".join(re.escape(target) for target in sorted(places, key=len, reverse=True))
        begin = r"(?:(?<![\w/])|(?<=///))"  # the latter: SQLite's URLs; http://prometheus is no path
        return re.sub(rf"{begin}({longest_first})(?=$|[^\w.-])", lambda found: str(places[found[1]]), text)

    def _takes_variables(self, service: str) -> bool:
        return "collector" in self.services[service].get("image", "")

    def _targets(self, service: str) -> list[str]:
        """Every path of the container that is mounted, and its temporary file systems."""
        definition = self.services[service]
        mounted = [target for _, target, _ in mounts(definition)]
        secrets = [f"{_SECRETS}{name}" for name in definition.get("secrets", ())]
        return [*mounted, *secrets, *definition.get("tmpfs", ())]

    def _files(self, service: str) -> list[tuple[Path, str]]:
        """What is mounted out of the checkout, and where."""
        mounted = mounts(self.services[service])
        return [((ROOT / source).resolve(), target) for source, target, _ in mounted if source.startswith(".")]

    def _defaults(self, service: str, file: Path) -> dict[str, str]:
        """The variables that a Collector's file takes defaults for, where the defaults lead elsewhere here."""
        found: dict[str, str] = {}
        for match in _COLLECTOR_VARIABLE.finditer(file.read_text()):
            name, default = match["name"], match["default"] or ""
            local = self.localized(service, default)
            if name.endswith("_PORT") and default.isdigit():
                local = str(self.port(service, int(default)))
            if local != default:
                found[name] = local
        return found
