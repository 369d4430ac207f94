"""The one allow-list: names of attributes that leave a process, and that pass the Collector behind it.

Comes in: the catalogue. Goes out: names. Each is here because its values describe the machine, the process, the route
or the kind of a thing, and never what a user sent. `collector/allowed_attributes.yaml` is generated from it.
"""

from __future__ import annotations

from typing import Final

from otelext import semconv

NAMED: Final[dict[str, tuple[str, ...]]] = {
    "service": (
        "service.name",
        "service.namespace",
        "service.version",
        "service.instance.id",
        "service.criticality",
        "deployment.environment",
        "deployment.environment.name",
        "deployment.name",
        "deployment.id",
    ),
    "telemetry": (
        "telemetry.sdk.name",
        "telemetry.sdk.language",
        "telemetry.sdk.version",
        "telemetry.distro.name",
        "telemetry.distro.version",
        "telemetry.auto.version",  # set by opentelemetry-instrument
        "otel.scope.name",
        "otel.scope.version",
        "otel.status_code",
        "otel.metric.overflow",
        "otel.component.name",
        "otel.component.type",
    ),
    "process": (
        "process.pid",
        "process.parent_pid",
        "process.executable.name",
        "process.creation.time",
        "process.runtime.name",
        "process.runtime.version",
        "process.runtime.description",
        "process.cpu.state",
        "process.context_switch.type",
        "process.paging.fault_type",
        "thread.id",
        "cpython.gc.generation",
    ),
    # Where in the program: a file and a function, no values.
    "code": (
        "code.function.name",
        "code.file.path",
        "code.line.number",
        "code.column.number",
        "code.function",
        "code.filepath",
        "code.lineno",
        "code.namespace",
    ),
    "host": (
        "host.name",
        "host.id",
        "host.type",
        "host.arch",
        "host.image.id",
        "host.image.name",
        "os.type",
        "os.name",
        "os.version",
        "os.description",
        "cloud.provider",
        "cloud.platform",
        "cloud.region",
        "cloud.availability_zone",
        "cloud.account.id",
        "cloud.resource_id",
    ),
    "container": (
        "container.id",
        "container.name",
        "container.image.id",
        "container.image.name",
        "container.image.tags",
        "container.runtime",
    ),
    "k8s": (
        "k8s.cluster.name",
        "k8s.cluster.uid",
        "k8s.namespace.name",
        "k8s.node.name",
        "k8s.node.uid",
        "k8s.pod.name",
        "k8s.pod.uid",
        "k8s.pod.start_time",
        "k8s.container.name",
        "k8s.container.restart_count",
        "k8s.deployment.name",
        "k8s.replicaset.name",
        "k8s.statefulset.name",
        "k8s.daemonset.name",
        "k8s.job.name",
        "k8s.cronjob.name",
    ),
    # Of servers and clients: the template of a route and the address that was called, never the path or the caller.
    "http": (
        "http.route",
        "http.request.method",
        "http.request.body.size",
        "http.request.size",
        "http.request.resend_count",
        "http.response.status_code",
        "http.response.body.size",
        "http.response.size",
        "http.connection.state",
        "url.scheme",
        "url.template",
        "server.address",
        "server.port",
        "network.protocol.name",
        "network.protocol.version",
        "network.transport",
        "network.type",
        "network.io.direction",
        # What instrumentations wrote before the conventions were stable, and some still do.
        "http.method",
        "http.scheme",
        "http.flavor",
        "http.status_code",
        "net.host.name",
        "net.host.port",
        "net.peer.name",
        "net.peer.port",
        "asgi.event.type",
    ),
    # Names of databases, tables and operations. SQL text is left out.
    "db": (
        "db.system",
        "db.system.name",
        "db.name",
        "db.namespace",
        "db.collection.name",
        "db.operation",
        "db.operation.name",
        "db.operation.batch.size",
        "db.query.summary",
        "db.stored_procedure.name",
        "db.response.status_code",
        "db.response.returned_rows",
        "db.client.connection.pool.name",
        "db.client.connection.state",
        "pool.name",
    ),
    "rpc": (
        "rpc.system",
        "rpc.system.name",
        "rpc.service",
        "rpc.method",
        "rpc.grpc.status_code",
        "rpc.response.status_code",
        "messaging.system",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.consumer.group.name",
        "messaging.batch.message_count",
    ),
    # What other libraries say of an inference: parameters and counts, no content.
    "gen_ai": (
        "gen_ai.request.max_tokens",
        "gen_ai.request.temperature",
        "gen_ai.request.top_p",
        "gen_ai.request.top_k",
        "gen_ai.request.n",
        "gen_ai.request.stream",
        "gen_ai.request.choice.count",
        "gen_ai.request.frequency_penalty",
        "gen_ai.request.presence_penalty",
        "gen_ai.request.encoding.formats",
        "gen_ai.output.type",
        "gen_ai.latency.time_in_scheduler",
        "gen_ai.latency.time_in_model_forward",
        "gen_ai.latency.time_in_model_execute",
        "gen_ai.latency.time_in_model_inference",
        "gen_ai.embeddings.dimension.count",
        "gen_ai.usage.cache_creation.input_tokens",
        "openai.api.type",
        "openai.request.service_tier",
        "openai.response.service_tier",
    ),
    # Errors by their type; messages are left out.
    "error": (
        "exception.type",
        "exception.escaped",
    ),
    "log": (
        "event.name",
        "log.file.name",
        "log.iostream",
        "log.record.uid",
        "syslog.facility.code",
        "syslog.msg.id",
    ),
    # What the Collector's span_metrics puts on its series.
    "span_metrics": (
        "span.name",
        "span.kind",
        "status.code",
        "collector.instance.id",
    ),
}
"""Standard names besides the catalogue's, by section, reviewed by people."""

LEFT_OUT: Final[dict[str, str]] = {
    "url.full, url.path, url.query, url.fragment, http.url, http.target": (
        "paths and queries carry names, numbers and tokens; http.route is what groups requests"
    ),
    "http.request.header.*, http.response.header.*, user_agent.*": "cookies, tokens, and who somebody is",
    "http.host, http.server_name": "a header of the client's",
    "client.address, network.peer.*, source.*, net.sock.*": "addresses of people",
    "db.query.text, db.statement, db.query.parameter.*, db.operation.parameter.*": "literals and parameters",
    "exception.message, exception.stacktrace, error.message": (
        "messages quote the input that failed; of a stack trace file, line and function of each frame stay"
    ),
    "code.stacktrace, thread.name": "as above; names are chosen at run time",
    "process.command, process.command_args, process.command_line, process.owner, process.executable.path": (
        "arguments hold secrets, paths hold names"
    ),
    "messaging.message.body*, rpc.*.metadata.*, gen_ai.*.messages, gen_ai.prompt*, gen_ai.completion*,"
    " gen_ai.system_instructions, gen_ai.tool.call.arguments, gen_ai.tool.call.result": "content itself",
    "enduser.*, user.email, user.full_name, user.name": "who somebody is; user.id leaves as a keyed hash",
    "error, endpoint, state, outcome, receiver, ...": ("names without a namespace: anybody may mean anything by them"),
}
"""Names that are not on the list on purpose, and why."""


def catalogue() -> frozenset[str]:
    """Every attribute that otelext itself puts on spans, data points, log records and resources, or reads from others."""
    foreign = {
        value
        for value in vars(semconv).values()
        if isinstance(value, str) and value.startswith(("gen_ai.latency.", "hw."))
    }
    read = {
        semconv.SYSTEM,
        semconv.TOKEN_TYPE,
        semconv.USAGE_PROMPT_TOKENS,
        semconv.USAGE_COMPLETION_TOKENS,
        semconv.USAGE_IMAGE_INPUT_TOKENS,
        semconv.RESPONSE_TIME_TO_FIRST_CHUNK,
        semconv.EXCEPTION_TYPE,
    }
    points = {key for metric in semconv.METRICS.values() for key in metric.attribute_keys}
    return (
        semconv.SPAN_ATTRIBUTES
        | semconv.LOG_ATTRIBUTES
        | semconv.RESOURCE_ATTRIBUTES
        | points
        | read
        | foreign
        | set(semconv.LOG_RESOURCE_KEYS)
    )


def names() -> frozenset[str]:
    """The whole list."""
    return catalogue().union(*NAMED.values())
