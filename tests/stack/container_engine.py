"""`docker`, as far as operators' commands go, over the native servers of a stack.

Commands run as they stand in scripts and docs. What they would do to a container is done to the server that stands for
it, and what they would do in a container is done here, to the folder that stands for a volume.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING, Final

from tests.compose.composition import COMPOSE_FILE, mounts

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from tests.stack.stack import Stack

# Asks the test's process, which owns the servers, and becomes the program that it answers with.
_CLIENT: Final = """#!{python}
import os, sys
from multiprocessing.connection import Client

with Client({address!r}) as engine:
    engine.send(sys.argv[1:])
    answer = engine.recv()
os.execvp(answer[0], answer)
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise ValueError(message)


class ContainerEngine:
    """Of one machine: the servers of one stack.

    Args:
        stack: Whose servers are meant.
        folder: Where the program `docker` goes, and the checkout as the operator sees it.
    """

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._services = stack.composition.services
        self._images = {service["image"] for service in self._services.values() if "image" in service}
        # Whose each volume is and where, by the name that Compose gives it.
        self._declared = {
            f"otelext_{source}": (service, stack.composition.path(service, target))
            for service, definition in self._services.items()
            for source, target, _ in mounts(definition)
            if not source.startswith(".") and service != "storage"
        }
        self._created = False
        self.checkout = folder / "checkout"
        self._programs = folder / "bin"
        self._listener = Listener(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="container engine", daemon=True)

    def __enter__(self) -> Self:
        self.checkout.mkdir(parents=True)
        for name in (COMPOSE_FILE.name, "collector"):
            (self.checkout / name).symlink_to(COMPOSE_FILE.with_name(name))
        self._programs.mkdir()
        client = self._programs / "docker"
        client.write_text(_CLIENT.format(python=sys.executable, address=self._listener.address))
        client.chmod(0o755)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        with Client(self._listener.address) as connection:
            connection.send(None)
        self._thread.join()
        self._listener.close()
        for server in self._stack.servers.values():
            if server.is_running:
                server.kill()

    @property
    def running(self) -> list[str]:
        """The services whose containers run."""
        return [service for service, server in self._stack.servers.items() if server.is_running]

    @property
    def volumes(self) -> dict[str, Path]:
        """The folder that stands for each volume, by the name that Compose gives it."""
        return {name: folder for name, (_, folder) in self._declared.items()}

    def run(self, commands: str) -> None:
        """Run shell commands where an operator would, in the checkout; they have to succeed."""
        done = self.attempt(commands)
        assert done.returncode == 0, done.stderr

    def attempt(self, commands: str) -> subprocess.CompletedProcess[str]:
        """Run shell commands in the checkout; they may fail."""
        return subprocess.run(
            ["sh", "-eu", "-c", commands],
            cwd=self.checkout,
            env={**os.environ, "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _serve(self) -> None:
        while True:
            with self._listener.accept() as connection:
                arguments = connection.recv()
                if arguments is None:
                    return
                try:
                    answer = self._answer(*arguments)
                except Exception as error:  # noqa: BLE001  # it is the answer
                    answer = ["sh", "-c", 'echo "$1" >&2; exit 125', "docker", f"docker {arguments}: {error!r}"]
                connection.send(answer)

    def _answer(self, command: str, *arguments: str) -> list[str]:
        match command, arguments:
            case ("compose", ("version",)) | ("version", ()):
                return ["true"]
            case "compose", (("-f" | "--file"), path, action, *more):
                assert (self.checkout / path).samefile(COMPOSE_FILE), path
                return self._compose(action, more)
            case "stop", services:
                self._stop(list(services))
                return ["true"]
            case "start", services:
                self._start(list(services))
                return ["true"]
            case "volume", ("inspect", name):
                return ["test", "-n", "x" * (self._created and name in self._declared)]
            case "run", _:
                return self._run(list(arguments))
        raise ValueError("unknown command")

    def _compose(self, action: str, arguments: list[str]) -> list[str]:
        match action, arguments:
            case "create", []:
                self._create()
            case "up", ["--detach"]:
                self._create()
                self._start([service for service in self._stack.servers if service not in self.running])
            case "stop", []:
                self._stop(self.running)
            case "ps", ["--quiet", *services]:
                assert set(services) <= set(self._services), services
                # A container's id is its service's name.
                return ["printf", "%s\\n", *(service for service in services if service in self.running)]
            case _:
                raise ValueError("unknown command")
        return ["true"]

    def _create(self) -> None:
        self._created = True
        for _, folder in self._declared.values():
            folder.mkdir(parents=True, exist_ok=True)

    def _start(self, services: list[str]) -> None:
        for service in services:
            self._stack.servers[service].start(wait=False)

    def _stop(self, services: list[str]) -> None:
        # As Compose does: who depends on others goes first.
        for service in sorted(services, key=lambda service: service != "collector"):
            self._stack.servers[service].stop()

    def _run(self, arguments: list[str]) -> list[str]:
        parser = _Parser(allow_abbrev=False)
        for option in ("--rm", "--interactive"):
            parser.add_argument(option, action="store_true", required=True)
        for option in ("--network", "--user", "--volume", "--entrypoint"):
            parser.add_argument(option, required=True)
        parser.add_argument("image")
        parser.add_argument("arguments", nargs=argparse.REMAINDER)
        known = parser.parse_args(arguments)
        assert known.image in self._images, f"{known.image} is not among {self._images}"
        name, target, *_ = known.volume.split(":")
        service, folder = self._declared[name]
        server = self._stack.servers.get(service)  # none for Grafana
        assert server is None or not server.is_running, f"{service} runs on {name}"
        return [known.entrypoint, *(argument.replace(target, str(folder)) for argument in known.arguments)]
