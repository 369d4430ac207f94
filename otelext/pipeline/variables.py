"""The environment variables that a configuration reads, and which of them an operator has to set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from otelext.pipeline.options import Options

PREFIX: Final = "OTELEXT_COLLECTOR_"
# https://opentelemetry.io/docs/collector/configuration/#environment-variables
_USE: Final = re.compile(rf"\$\{{env:(?P<name>{PREFIX}\w+):-(?P<default>[^}}]*)\}}")
_NONE: Final = " is not set"
_ALLOWED_ATTRIBUTES: Final = f"{PREFIX}ALLOWED_ATTRIBUTES"
_HOST: Final = f"{PREFIX}HOST"
# Names of hosts that defaults have and nothing in docker-compose.otel.yml is called.
_NOBODY: Final = re.compile(r"\b(gateway|kafka|tempo|mimir|elasticsearch):\d")

# As collector/README.md says it.
MEANINGS: Final = {
    f"{PREFIX}{name}": meaning
    for name, meaning in {
        "HOST": "address that the OTLP receiver and the health check listen on",
        "GRPC_PORT": "OTLP over gRPC",
        "HTTP_PORT": "OTLP over HTTP",
        "HEALTH_PORT": "health check: 200 once everything runs",
        "SELF_PORT": "the Collector's own telemetry comes in here, on loopback always",
        "NAME": "its `service.name` in its own telemetry",
        "STORAGE": "folder of the queues and of the log files' offsets",
        "QUEUE_BYTES": "size of each exporter's queue on disk, three in all; 1000000 is the least",
        "MEMORY_LIMIT_MIB": "heap above which data is refused and memory collected by force",
        "MEMORY_SPIKE_MIB": (
            "refusing begins this much below; `docker-compose.otel.yml` sets `GOMEMLIMIT` to 120 % of the limit, and the"
            " container's memory to 300 %"
        ),
        "DETECTORS": "detectors of the resource: also `docker`, `ec2`, `gcp`, `azure`, `k8snode`, ...",
        "SCRAPE": "`scrape_configs` as Prometheus has them, for what only offers `/metrics`",
        "TRACES_ENDPOINT": "where traces go: host and port of OTLP over gRPC",
        "TRACES_INSECURE": "false speaks TLS to it",
        "TRACES_HEADERS": "map of headers for it",
        "METRICS_ENDPOINT": "where metrics go: URL of OTLP over HTTP",
        "METRICS_HEADERS": "map of headers for it, such as `{X-Scope-OrgID: clinic}`",
        "METRICS_LISTEN": "address and port of `/metrics`, which Prometheus scrapes",
        "LOGS_ENDPOINT": "where logs go: URL of OTLP over HTTP, or of Elasticsearch",
        "LOGS_HEADERS": "map of headers for it, such as `{X-Scope-OrgID: clinic}`",
        "ALLOWED_ATTRIBUTES": "the file of attributes that pass",
        "ALLOW_ATTRIBUTES": "your own attributes that pass too, whatever they hold",
        "REDACT_BODIES": "any other value replaces the text of lines that agents read from files",
        "SPAN_SERIES": "series that `span_metrics` may make of one service",
        "GATEWAYS": "the gateways one by one, for traces",
        "GATEWAY": "one address for all of them, for metrics and logs",
        "ROOT_PATH": "where a container has the host's `/`, for the host's metrics",
        "LOG_FILES": "JSON lines of otelext; name the rotated files too",
        "CONTAINER_LOG_FILES": "what containers write, in the CRI's format or Docker's",
        "SYSLOG_FILES": (
            "syslog: RFC 5424, RFC 3164, or as rsyslog writes it; a folder for what is sent on purpose, the system's own are"
            " `[/var/log/syslog, /var/log/syslog.1]` or `[/var/log/messages*]`"
        ),
        "SYSLOG_TIMEZONE": "time zone of RFC 3164's timestamps, which name none",
        "SAMPLING_PERCENTAGE": "share of the traces kept that nothing else keeps",
        "SLOW_TTFT": "seconds to first token above which a trace is kept",
        "DECISION_WAIT": "age of a trace at its decision: more than the longest request takes",
        "DECISION_WAIT_AFTER_ROOT": "where its root span has come: as long as its other spans may take",
        "TRACES_IN_MEMORY": "traces that may wait for a decision; then senders wait",
        "TOKEN_FILE": "file with a token a line",
        "TLS": "folder with `tls.crt`, `tls.key` and the clients' `ca.crt`",
        "GATEWAY_TOKEN_FILE": "file with the token",
        "GATEWAY_TLS": "folder with `tls.crt`, `tls.key` and the gateways' `ca.crt`",
        "KAFKA_BROKERS": "list of Kafka's brokers",
        "KAFKA_TLS": "map of TLS with them: `{}`, or `{ca_file: ..., cert_file: ..., key_file: ...}`",
        "KAFKA_AUTH": (
            "map of the credentials: `{sasl: {mechanism: SCRAM-SHA-512, username: otelext, password:"
            ' "${file:/run/secrets/kafka}"}}`'
        ),
        "KAFKA_TRACES_TOPIC": "topic of the traces",
        "KAFKA_METRICS_TOPIC": "topic of the metrics",
        "KAFKA_LOGS_TOPIC": "topic of the logs",
        "KAFKA_GROUP": "consumer group of all gateways",
        "KAFKA_MESSAGE_BYTES": "largest message, before compression; the topics' `max.message.bytes` at most",
        "KAFKA_BATCH_BYTES": "largest batch: nine tenths of that, as Kafka adds to it",
    }.items()
}
# What differs from place to place; the rest fits nearly everywhere.
_OFTEN_SET: Final = {
    f"{PREFIX}{name}"
    for name in (
        *("HOST", "STORAGE", "SCRAPE", "ROOT_PATH", "LOG_FILES", "ALLOW_ATTRIBUTES", "SAMPLING_PERCENTAGE"),
        *(
            f"{signal}_{part}"
            for signal in ("TRACES", "METRICS", "LOGS")
            for part in ("ENDPOINT", "HEADERS", "INSECURE")
        ),
        *("METRICS_LISTEN", "KAFKA_TLS", "KAFKA_AUTH", "KAFKA_GROUP"),
    )
}


@dataclass(frozen=True)
class Variable:
    """A variable that a configuration reads."""

    name: str
    default: str | None
    """What holds without it; None where the Collector doesn't start then."""
    value: str | None = None
    """What it has to be, where that is known."""
    must_be_set: bool = False
    """Whether it has no default, or one that fits hardly anybody."""

    @property
    def meaning(self) -> str:
        """What it is, in a line."""
        return MEANINGS[self.name]

    @property
    def often_set(self) -> bool:
        """Whether its default fits some and not others."""
        return self.name in _OFTEN_SET


def variables(options: Options, configuration: str, allowed_attributes: Path) -> list[Variable]:
    """The variables of a configuration, in the order of `collector/README.md`.

    Args:
        options: What it was rendered for.
        configuration: Its text.
        allowed_attributes: Where the file is that it refers to.
    """
    defaults = {found["name"]: found["default"] for found in _USE.finditer(configuration)}
    order = list(MEANINGS)
    return [_variable(options, name, defaults[name], allowed_attributes) for name in sorted(defaults, key=order.index)]


def _variable(options: Options, name: str, default: str, allowed_attributes: Path) -> Variable:
    if default.endswith(_NONE):
        return Variable(name, None, must_be_set=True)
    if name == _ALLOWED_ATTRIBUTES and str(allowed_attributes) != default:
        return Variable(name, default, str(allowed_attributes), must_be_set=True)
    # Agents are on other machines.
    remote = name == _HOST and options.tier == "gateway" and options.kafka is None
    return Variable(name, default, must_be_set=remote or bool(_NOBODY.search(default)))
