"""What a configuration is rendered for: the choices, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TIERS: Final = ("single", "agent", "gateway")
TRACES: Final = ("jaeger", "tempo", "otlp")
METRICS: Final = ("prometheus", "prometheus-scrape", "mimir", "otlp")
LOGS: Final = ("loki", "elasticsearch", "otlp")
SAMPLING: Final = ("none", "tail")
AUTH: Final = ("bearer", "mtls")
KAFKA: Final = ("producer", "consumer")


class OptionError(ValueError):
    """A choice that is none, or that doesn't go with another.

    Args:
        option: Its name, as `--kafka`.
        why: What is wrong, and what would be right.
    """

    def __init__(self, option: str, why: str) -> None:
        super().__init__(f"{option} {why}")
        self.option = option


@dataclass(frozen=True)
class Options:
    """The choices; where one is not made, the tier's default stands in its place.

    Raises:
        OptionError: A choice is none, or doesn't go with another.
    """

    tier: str = "single"
    """Everything on one node, or the first or the second of two tiers."""
    traces: str | None = None
    """Where traces go; None for an agent, which sends everything to the gateways. So with the next three."""
    metrics: str | None = None
    logs: str | None = None
    sampling: str | None = None
    """Whether all traces are kept, or what is decided on them when they have ended."""
    auth: frozenset[str] = frozenset()
    """What the OTLP receiver asks of senders; an agent shows its gateways the same."""
    kafka: str | None = None
    """Which end of Kafka, where it stands between the tiers."""

    def __post_init__(self) -> None:
        known = {
            "tier": TIERS,
            "traces": TRACES,
            "metrics": METRICS,
            "logs": LOGS,
            "sampling": SAMPLING,
            "kafka": KAFKA,
        }
        for name, values in known.items():
            value = getattr(self, name)
            if value is not None and value not in values:
                option = "the tier" if name == "tier" else f"--{name}"
                raise OptionError(option, f"is one of {', '.join(values)}; not {value}")
        for value in sorted(self.auth - set(AUTH)):
            raise OptionError("--auth", f"is one of {', '.join(AUTH)}; not {value}")
        if self.tier == "agent":
            self._check_agent()
            return
        if self.kafka == "producer":
            raise OptionError("--kafka producer", f"is an agent's end of Kafka: {self.tier} takes --kafka consumer")
        if self.kafka == "consumer" and self.auth:
            raise OptionError(
                "--auth",
                "has nothing to guard with --kafka consumer: no OTLP receiver is left, and Kafka asks by itself",
            )
        for name, value in _defaults(self.tier).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def _check_agent(self) -> None:
        for name in ("traces", "metrics", "logs"):
            if getattr(self, name) is not None:
                raise OptionError(
                    f"--{name}", "is no choice of an agent's: it sends to gateways, which know the backends"
                )
        if self.sampling is not None:
            raise OptionError("--sampling", "is no choice of an agent's: gateways decide, as they see all of a trace")
        if self.kafka == "consumer":
            raise OptionError("--kafka consumer", "is a gateway's end of Kafka: agent takes --kafka producer")

    @property
    def is_default(self) -> bool:
        """Whether this is the tier's own file."""
        return self == Options(self.tier)

    @property
    def command(self) -> str:
        """What renders it, as it is typed."""
        default = Options(self.tier)
        words = ["otelext collector render", self.tier]
        for name in ("traces", "metrics", "logs", "sampling", "kafka"):
            value = getattr(self, name)
            if value != getattr(default, name):
                words.append(f"--{name} {value}")
        words += [f"--auth {value}" for value in sorted(self.auth)]
        return " ".join(words)

    @property
    def remarks(self) -> list[str]:
        """What somebody who starts it has to know, in a sentence or two each."""
        found = []
        if self.kafka == "consumer" or self.logs == "elasticsearch":
            part = "the kafka receiver" if self.kafka == "consumer" else "the elasticsearch exporter"
            if self.kafka == "consumer" and self.logs == "elasticsearch":
                part = "the kafka receiver and the elasticsearch exporter"
            found.append(f"It needs the contrib distribution: `make stack` builds a Collector without {part}.")
        if "bearer" in self.auth and "mtls" not in self.auth:
            if self.tier == "agent" and self.kafka is None:
                found.append(
                    "The agent asks for a token and shows its gateways none, as one is sent over TLS alone: gateways that ask"
                    " for one need --auth bearer --auth mtls on both sides."
                )
            found.append("A token is readable on the way: beyond loopback add --auth mtls.")
        if self.kafka is not None:
            other = "gateway --kafka consumer" if self.kafka == "producer" else "agent --kafka producer"
            found.append(f"The other end of Kafka: otelext collector render {other}")
        return found

    def start(self, path: str) -> list[str]:
        """The command that starts a Collector on the file."""
        words = ["otelcol-contrib", f"--config={path}"]
        if self.tier == "agent":
            # As agent.yaml says at its head.
            words.insert(1, "--feature-gates=stanza.synchronousLogEmitter")
        return words


def _defaults(tier: str) -> dict[str, str]:
    sampling = "tail" if tier == "gateway" else "none"
    return {"traces": "jaeger", "metrics": "prometheus", "logs": "loki", "sampling": sampling}
