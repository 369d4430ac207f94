"""Collectors of any file in `collector/`, alone or in two tiers, at free ports of loopback."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tests.compose.composition import ROOT
from tests.stack.composition import Command, free_port
from tests.stack.servers import Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from tests.stack.stack import Stack

FILES: Final = ROOT / "collector"
# agent.yaml says what it is for.
READ_BEFORE_NOTED: Final = "--feature-gates=stanza.synchronousLogEmitter"
# Every 15 s otherwise, which each test that reads them would wait for.
QUICK_SPAN_METRICS: Final = "yaml:connectors::span_metrics::metrics_flush_interval: 2s"
# For an agent; the defaults are folders of the machine's.
NO_LOG_FILES: Final = dict.fromkeys(("LOG_FILES", "CONTAINER_LOG_FILES", "SYSLOG_FILES"), "[/nonexistent]")


class Collector(Server):
    """One Collector.

    Args:
        name: Of its output and its folder.
        binary: `otelcol`.
        files: Its configuration below `collector/`, and what is laid over it: further files, or `yaml:` and a text.
        folder: Where its queue and its output go.
        variables: Of collector/README.md, without the prefix.
    """

    def __init__(
        self, name: str, binary: Path, files: Sequence[str], folder: Path, variables: Mapping[str, str | Path | int]
    ) -> None:
        self._host = variables.get("HOST", "127.0.0.1")
        self._ports = {
            part: variables.get(f"{part}_PORT") or free_port() for part in ("GRPC", "HTTP", "HEALTH", "SELF")
        }
        values = {
            "ALLOWED_ATTRIBUTES": FILES / "allowed_attributes.yaml",
            "STORAGE": folder / name,
            **{f"{part}_PORT": port for part, port in self._ports.items()},
            **variables,
        }
        environment = {f"OTELEXT_COLLECTOR_{variable}": str(value) for variable, value in values.items()}
        configuration = [file if ":" in file else str(FILES / file) for file in files]
        arguments = [READ_BEFORE_NOTED, *(f"--config={part}" for part in configuration)]
        command = Command(str(binary), arguments, {"PATH": os.environ["PATH"], **environment})
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(name, command, f"http://{self._host}:{self._ports['HEALTH']}/", folder)

    @property
    def otlp_http(self) -> str:
        return f"http://{self._host}:{self._ports['HTTP']}"

    @property
    def otlp_grpc(self) -> str:
        return f"{self._host}:{self._ports['GRPC']}"


def backends(stack: Stack) -> dict[str, str]:
    """The variables that lead a Collector to a stack's backends."""
    ports = stack.composition.port
    return {
        "TRACES_ENDPOINT": f"127.0.0.1:{ports('jaeger', 4317)}",
        "METRICS_ENDPOINT": f"http://127.0.0.1:{ports('prometheus', 9090)}/api/v1/otlp/v1/metrics",
        "LOGS_ENDPOINT": f"http://127.0.0.1:{ports('loki', 3100)}/otlp/v1/logs",
    }


class TwoTiers:
    """An agent in front of three gateways, which keep one trace in a hundred beside those that they always keep."""

    def __init__(self, folder: Path, binary: Path, stack: Stack) -> None:
        gateway: dict[str, str | Path | int] = {
            **backends(stack),
            "SAMPLING_PERCENTAGE": 1,
            "DECISION_WAIT": "60s",
            "DECISION_WAIT_AFTER_ROOT": "5s",
        }
        self.gateways = [
            Collector(f"gateway-{n}", binary, ["gateway.yaml", QUICK_SPAN_METRICS], folder, gateway) for n in range(3)
        ]
        self.agent = Collector("agent", binary, ["agent.yaml"], folder, self.way_to_gateways())
        self._running = ExitStack()

    def way_to_gateways(self) -> dict[str, str]:
        """The variables that lead an agent to the gateways."""
        addresses = [gateway.otlp_grpc for gateway in self.gateways]
        return {
            "GATEWAYS": f"[{', '.join(addresses)}]",
            "GATEWAY": addresses[0],
            **NO_LOG_FILES,
        }

    def __enter__(self) -> Self:
        servers = [*self.gateways, self.agent]
        for server in servers:
            self._running.callback(server.__exit__, None, None, None)
            server.start(wait=False)
        for server in servers:
            server.wait_until_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._running.close()
