"""The stack of `docker-compose.otel.yml`, started natively server by server."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tests.stack.backends import Jaeger, Loki, Prometheus
from tests.stack.composition import Composition
from tests.stack.servers import Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

# Program of each image, and where it says that it is ready.
PROGRAMS: Final = {
    "collector": ("otelcol", 13133, "/"),
    "jaeger": ("jaeger", 13133, "/status"),
    "prometheus": ("prometheus", 9090, "/-/ready"),
    "loki": ("loki", 3100, "/ready"),
    "alertmanager": ("alertmanager", 9093, "/-/ready"),
}
# No test of these opens Grafana; the variable has no default.
VARIABLES: Final = {"GRAFANA_PASSWORD": "not used here"}


class Stack:
    """The servers by the names of their services.

    Args:
        folder: Where all data and output go.
        binaries: Path of each program by its name.
        variables: Of the compose file.
        environment: Further variables of a service's container, by service.
    """

    def __init__(
        self,
        folder: Path,
        binaries: Mapping[str, Path],
        variables: Mapping[str, str] | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.composition = Composition(folder, {**VARIABLES, **(variables or {})})
        logs = folder / "logs"
        logs.mkdir(parents=True)
        self.servers = {
            service: Server(
                service,
                self.composition.command(service, str(binaries[program]), **(environment or {}).get(service, {})),
                self.composition.url(service, port) + path,
                logs,
            )
            for service, (program, port, path) in PROGRAMS.items()
        }
        self._running = ExitStack()

    @property
    def collector(self) -> Server:
        return self.servers["collector"]

    @property
    def otlp_http(self) -> str:
        """Where applications send to."""
        return self.composition.url("collector", 4318)

    @property
    def otlp_grpc(self) -> str:
        return f"127.0.0.1:{self.composition.port('collector', 4317)}"

    @property
    def jaeger(self) -> Jaeger:
        return Jaeger(self.composition.url("jaeger", 16686))

    @property
    def prometheus(self) -> Prometheus:
        return Prometheus(self.composition.url("prometheus", 9090))

    @property
    def loki(self) -> Loki:
        return Loki(self.composition.url("loki", 3100))

    def start(self, *services: str) -> None:
        """Start some services, or all: at once, and wait until each is ready."""
        chosen = [self.servers[service] for service in services or self.servers]
        for server in chosen:
            self._running.push(server)
            server.start(wait=False)
        for server in chosen:
            server.wait_until_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._running.close()
