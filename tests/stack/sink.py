"""A Collector that plays the backends which are not built: what it is sent over OTLP goes on to those of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.stack.collectors import Collector, backends
from tests.stack.composition import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.certificates import Certificate
    from tests.stack.stack import Stack

# Plain for Tempo and any other backend, at Mimir's path, and twice as a gateway's doors are.
_CONFIGURATION: Final = """\
extensions:
  health_check: {{endpoint: "127.0.0.1:${{env:OTELEXT_COLLECTOR_HEALTH_PORT}}"}}
  bearertokenauth: {{filename: {tokens}}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:${{env:OTELEXT_COLLECTOR_GRPC_PORT}}"}}
      http: {{endpoint: "127.0.0.1:${{env:OTELEXT_COLLECTOR_HTTP_PORT}}"}}
  otlp/mimir:
    protocols:
      http: {{endpoint: "127.0.0.1:{mimir}", metrics_url_path: /otlp/v1/metrics}}
  otlp/mtls:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{mtls}", tls: &tls {{cert_file: {chain}, key_file: {key}, client_ca_file: {authority}}}}}
  otlp/mtls_and_bearer:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{both}", tls: *tls, auth: {{authenticator: bearertokenauth}}}}
exporters:
  otlp_grpc: {{endpoint: {traces}, tls: {{insecure: true}}}}
  otlp_http/metrics: {{metrics_endpoint: "{metrics}"}}
  otlp_http/logs: {{logs_endpoint: "{logs}"}}
service:
  extensions: [health_check, bearertokenauth]
  pipelines:
    traces: {{receivers: &doors [otlp, otlp/mtls, otlp/mtls_and_bearer], exporters: [otlp_grpc]}}
    metrics: {{receivers: [otlp, otlp/mimir, otlp/mtls, otlp/mtls_and_bearer], exporters: [otlp_http/metrics]}}
    logs: {{receivers: *doors, exporters: [otlp_http/logs]}}
  telemetry: {{metrics: {{level: none}}}}
"""


class Sink(Collector):
    """Everything that takes OTLP, at addresses of loopback.

    Args:
        binary: `otelcol`.
        folder: Where its file and its output go.
        stack: Whose backends have what it got.
        shown: Its certificate.
        tokens: The file of tokens that a gateway asks for.
    """

    def __init__(self, binary: Path, folder: Path, stack: Stack, shown: Certificate, tokens: Path) -> None:
        ports = {"mimir": free_port(), "mtls": free_port(), "both": free_port()}
        self.mimir = f"http://127.0.0.1:{ports['mimir']}/otlp/v1/metrics"
        self.mtls, self.mtls_and_bearer = (f"127.0.0.1:{ports[door]}" for door in ("mtls", "both"))
        to = backends(stack)
        file = folder / "sink.yaml"
        file.write_text(
            _CONFIGURATION.format(
                **ports,
                tokens=tokens,
                chain=shown.chain,
                key=shown.key,
                authority=shown.authority,
                **{signal: to[f"{signal.upper()}_ENDPOINT"] for signal in ("traces", "metrics", "logs")},
            )
        )
        super().__init__("sink", binary, [str(file)], folder, {})
