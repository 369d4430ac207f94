"""The one catalogue: every name, unit, bucket and bound that otelext emits or reads is spelled here.

Comes in: nothing. Goes out: constants, the metric definitions in `METRICS`, and the limits
that keep attribute values bounded. May import: nothing of otelext, and no OpenTelemetry package.

Names follow the OpenTelemetry semantic conventions (GenAI, hardware, HTTP) where one exists;
`vlm.` and `otelext.` names exist only where the conventions have none.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

SCOPE_NAME: Final = "otelext"
"""Instrumentation scope of every span and metric of ours."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"
"""Version of the semantic conventions that the `gen_ai.*` names were taken from."""


class Outcome(str, enum.Enum):
    """How an inference ended; the value of `vlm.outcome`. Decided once, in the order of `docs/measurement.md`."""

    COMPLETED = "completed"
    TIMEOUT = "timeout"
    ERROR = "error"
    CLIENT_DISCONNECTED = "client_disconnected"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"

    def __str__(self) -> str:
        return self.value


# --- attributes -----------------------------------------------------------------------------------

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
SYSTEM: Final = "gen_ai.system"  # what older instrumentations still send in place of PROVIDER
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"
ERROR_TYPE: Final = "error.type"

# What vLLM's own request spans carry, in seconds.
LATENCY_TIME_TO_FIRST_TOKEN: Final = "gen_ai.latency.time_to_first_token"
LATENCY_E2E: Final = "gen_ai.latency.e2e"
LATENCY_TIME_IN_QUEUE: Final = "gen_ai.latency.time_in_queue"
LATENCY_TIME_IN_MODEL_PREFILL: Final = "gen_ai.latency.time_in_model_prefill"
LATENCY_TIME_IN_MODEL_DECODE: Final = "gen_ai.latency.time_in_model_decode"
USAGE_PROMPT_TOKENS: Final = "gen_ai.usage.prompt_tokens"
USAGE_COMPLETION_TOKENS: Final = "gen_ai.usage.completion_tokens"
USAGE_IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
# Seconds to the first streamed chunk, as the convention's client spans carry it.
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"

# https://opentelemetry.io/docs/specs/semconv/general/attributes/ and how GenAI instrumentations use them.
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
CODE_FILE_PATH: Final = "code.file.path"
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_LINE_NUMBER: Final = "code.line.number"
ERROR_TYPE_OTHER: Final = "_OTHER"
ABANDONED_STREAM: Final = "abandoned stream"
"""Status description by which the official GenAI instrumentations say that a stream was never read to its end."""

STREAMED_CHUNK_EVENTS: Final = ("gen_ai.content.completion.chunk", "llm.content.completion.chunk")
"""Events that some instrumentations add to their span for each streamed chunk."""

INFERENCE_OPERATIONS: Final = frozenset({"chat", "text_completion", "generate_content"})
"""Values of `gen_ai.operation.name` that stand for a request to a generative model."""

VLLM: Final = "vllm"
"""vLLM's first word in the names of its tracers, and its `gen_ai.provider.name`."""

OUTCOME: Final = "vlm.outcome"
STAGE: Final = "vlm.stage"
TIME_TO_FIRST_TOKEN: Final = "vlm.time_to_first_token"
TIME_PER_OUTPUT_TOKEN: Final = "vlm.time_per_output_token"
CONSUMER_WAIT: Final = "vlm.consumer_wait"
ADMISSION: Final = "vlm.admission"
UNATTRIBUTED: Final = "vlm.unattributed"
INPUT_IMAGES: Final = "vlm.input.images"
INPUT_PAGES: Final = "vlm.input.pages"
INPUT_PIXELS: Final = "vlm.input.pixels"
INPUT_IMAGE_TOKENS: Final = "vlm.input.image_tokens"
INPUT_TEXT_TOKENS: Final = "vlm.input.text_tokens"
INPUT_WIDTH: Final = "vlm.input.width"
INPUT_HEIGHT: Final = "vlm.input.height"
OUTPUT_CHUNKS: Final = "vlm.output.chunks"
TOKEN_COUNT_SOURCE: Final = "vlm.output.token_count_source"
DOCUMENT_TYPE: Final = "vlm.document_type"
FIELD_COUNT: Final = "vlm.field_count"
MODEL_VERSION: Final = "vlm.model.version"
COST: Final = "vlm.cost"
QUEUE_NAME: Final = "vlm.queue.name"
FIELD: Final = "vlm.field"
STRUCTURED_OUTPUT_RESULT: Final = "vlm.structured_output.result"
CACHE_NAME: Final = "vlm.cache.name"
CACHE_RESULT: Final = "vlm.cache.result"
ENERGY_STATE: Final = "vlm.energy.state"
ENERGY_SOURCE: Final = "vlm.energy.source"
REQUEST_ID: Final = "request.id"
USER_ID: Final = "user.id"
TENANT_ID: Final = "tenant.id"
EXEMPLAR: Final = "otelext.exemplar"
CANARY: Final = "otelext.canary"
REDACTED_KIND: Final = "otelext.redacted.kind"
TIME_IN_QUEUE: Final = "vlm.time_in_queue"
DURATION: Final = "vlm.duration"
CRITICAL_FIELD_MISMATCHES: Final = "vlm.critical_field.mismatches"
LINES_LEFT_OUT: Final = "otelext.log.left_out"
CAPTURE: Final = "otelext.capture"
"""Resource attribute: what leaves besides the allow-list, as `OTELEXT_CAPTURE` asked, for whoever audits a backend."""
UNWRAPPED: Final = "otelext.unwrapped"
"""Resource attribute: types of processors and readers that could not be given redacted telemetry alone."""

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/service/
SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
SERVICE_VERSION: Final = "service.version"

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/telemetry/
DISTRO_NAME: Final = "telemetry.distro.name"
DISTRO_VERSION: Final = "telemetry.distro.version"

# https://opentelemetry.io/docs/specs/semconv/hardware/gpu/
HW_ID: Final = "hw.id"
HW_NAME: Final = "hw.name"
HW_PARENT: Final = "hw.parent"
HW_TYPE: Final = "hw.type"
HW_SENSOR_LOCATION: Final = "hw.sensor_location"
HW_GPU_TASK: Final = "hw.gpu.task"
IO_DIRECTION: Final = "network.io.direction"
# Where that convention has none.
GPU_INDEX: Final = "vlm.gpu.index"
GPU_PCI_BUS: Final = "vlm.gpu.pci_bus"
GPU_LINK: Final = "vlm.gpu.link"
GPU_CLOCK_DOMAIN: Final = "vlm.gpu.clock.domain"
GPU_THROTTLE_REASON: Final = "vlm.gpu.throttle.reason"
GPU_ALLOCATOR_STATE: Final = "vlm.gpu.allocator.state"

SPAN_ATTRIBUTES: Final = frozenset(
    {
        OPERATION,
        PROVIDER,
        REQUEST_MODEL,
        RESPONSE_MODEL,
        FINISH_REASONS,
        INPUT_TOKENS,
        OUTPUT_TOKENS,
        CACHED_INPUT_TOKENS,
        ERROR_TYPE,
        OUTCOME,
        STAGE,
        TIME_TO_FIRST_TOKEN,
        TIME_PER_OUTPUT_TOKEN,
        CONSUMER_WAIT,
        ADMISSION,
        UNATTRIBUTED,
        INPUT_IMAGES,
        INPUT_PAGES,
        INPUT_PIXELS,
        INPUT_IMAGE_TOKENS,
        INPUT_TEXT_TOKENS,
        INPUT_WIDTH,
        INPUT_HEIGHT,
        OUTPUT_CHUNKS,
        TOKEN_COUNT_SOURCE,
        DOCUMENT_TYPE,
        FIELD_COUNT,
        MODEL_VERSION,
        COST,
        REQUEST_ID,
        USER_ID,
        TENANT_ID,
        EXEMPLAR,
        CANARY,
    }
)
"""Every attribute that a span of ours may carry without the user naming it."""

RESOURCE_ATTRIBUTES: Final = frozenset({CAPTURE, UNWRAPPED})
"""What a resource of ours may carry besides the SDK's."""

# --- names of things ------------------------------------------------------------------------------

FIRST_TOKEN_EVENT: Final = "first_token"
INFERENCE_EVENT: Final = "vlm.inference"
"""Event name of the canonical log line."""
EVENT_NAME_FIELDS: Final = ("otel.event.name", "event.name")
"""Fields of a log record that name its event: the stable name and the deprecated one."""
LINES_LEFT_OUT_EVENT: Final = "otelext.log.left_out"
"""Event name of the line that tells how many canonical lines a flood left out, where no other line tells it."""

STAGE_QUEUE: Final = "queue"
STAGE_PREFILL: Final = "prefill"
STAGE_DECODE: Final = "decode"
KNOWN_STAGES: Final = (
    "fetch",
    "decode_image",
    "preprocess",
    STAGE_QUEUE,
    "vision_encode",
    STAGE_PREFILL,
    STAGE_DECODE,
    "detokenize",
    "postprocess",
)
"""Stage names with a fixed meaning; any other lower-case name is welcome too."""

STAGE_TIMES: Final = {
    stage: f"vlm.time_to_first_token.stage_time.{stage}" for stage in (*KNOWN_STAGES, "unattributed", "other")
}
"""Attributes of the canonical log line: seconds of the time to first token by known stage, those of all others as
`other`. One attribute each and no map, since the Collector's redaction lets no map pass."""

LOG_ATTRIBUTES: Final = frozenset(
    {*STAGE_TIMES.values(), DURATION, TIME_IN_QUEUE, CRITICAL_FIELD_MISMATCHES, LINES_LEFT_OUT}
)
"""What a log record of ours may carry besides `SPAN_ATTRIBUTES`."""

# The keys of a JSON log line that are no attributes; everything else in it is one, under its own name (`request.id`,
# `tenant.id`, `gen_ai.request.model`, `vlm.stage`, `error.type`, ...). The line is flat, so that whoever reads it needs
# no schema.
LOG_TIMESTAMP: Final = "timestamp"
"""RFC 3339 in UTC with microseconds: `2026-03-01T09:30:00.000125Z`."""
LOG_SEVERITY: Final = "severity"
"""OpenTelemetry's severity text: TRACE, DEBUG, INFO, WARN, ERROR or FATAL."""
LOG_LOGGER: Final = "logger"
"""Name of the logger: the instrumentation scope of the record."""
LOG_EVENT: Final = "event"
"""Event name, as `INFERENCE_EVENT`; absent where a record is no event."""
LOG_BODY: Final = "body"
"""The message, redacted already."""
LOG_TRACE_ID: Final = "trace_id"
"""32 lower-case hexadecimal digits; absent outside a trace, as the two below."""
LOG_SPAN_ID: Final = "span_id"
"""16 lower-case hexadecimal digits."""
LOG_TRACE_FLAGS: Final = "trace_flags"
"""Two hexadecimal digits, 01 where the trace is sampled."""

LOG_KEYS: Final = (
    LOG_TIMESTAMP,
    LOG_SEVERITY,
    LOG_LOGGER,
    LOG_EVENT,
    LOG_BODY,
    LOG_TRACE_ID,
    LOG_SPAN_ID,
    LOG_TRACE_FLAGS,
)
"""Keys of a JSON log line that become fields of the log record, in the order in which they are written."""

LOG_RESOURCE_KEYS: Final = (SERVICE_NAME, SERVICE_VERSION, SERVICE_INSTANCE_ID)
"""Keys of a JSON log line that describe the service: attributes of the resource, not of the record."""

REQUEST_ID_HEADER: Final = "x-request-id"
REQUEST_ID_PATTERN: Final = r"[0-9A-Za-z-]{16,64}"
"""A client's request id is taken when it looks like this, and made otherwise."""

STAGE_NAME_PATTERN: Final = r"[a-z][a-z0-9_.\-]{0,63}"
UNATTRIBUTED_STAGE: Final = "unattributed"
OTHER: Final = "other"
"""What a value beyond its limit becomes on a metric."""

TOKEN_SOURCE_USAGE: Final = "usage"
TOKEN_SOURCE_COUNTED: Final = "counted"
TOKEN_SOURCE_CHUNKS: Final = "chunks"
TOKEN_TYPE_INPUT: Final = "input"
TOKEN_TYPE_OUTPUT: Final = "output"
RESULT_VALID: Final = "valid"
RESULT_INVALID: Final = "invalid"
RESULT_HIT: Final = "hit"
RESULT_MISS: Final = "miss"

HW_TYPE_GPU: Final = "gpu"
HW_TYPE_FAN: Final = "fan"
TASK_GENERAL: Final = "general"
SENSOR_GPU: Final = "gpu"
SENSOR_MEMORY: Final = "memory"
RECEIVE: Final = "receive"
TRANSMIT: Final = "transmit"
LINK_PCIE: Final = "pcie"
LINK_NVLINK: Final = "nvlink"
CLOCK_SM: Final = "sm"
CLOCK_MEMORY: Final = "memory"
ECC_CORRECTED: Final = "ecc_corrected"
ECC_UNCORRECTED: Final = "ecc_uncorrected"
GPU_LOST: Final = "gpu_lost"
XID: Final = "xid_{number}"
"""What `error.type` says of an Xid error: https://docs.nvidia.com/deploy/xid-errors/"""
ALLOCATED: Final = "allocated"
RESERVED: Final = "reserved"
ENERGY_ACTIVE: Final = "active"
ENERGY_IDLE: Final = "idle"
ENERGY_FROM_COUNTER: Final = "counter"
ENERGY_FROM_POWER: Final = "power"

THROTTLE_REASONS: Final = (
    "applications_clocks_setting",
    "sw_power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
    "display_clock_setting",
)
"""Why clocks are below their maximum, NVML's `nvmlClocksEventReason*` but for `GpuIdle`, which holds nobody back."""

# Kinds of what redaction took away, the values of REDACTED_KIND.
REDACTED_SPAN_NAME: Final = "span_name"
REDACTED_SPAN_ATTRIBUTE: Final = "span_attribute"
REDACTED_EVENT_NAME: Final = "event_name"
REDACTED_EVENT_ATTRIBUTE: Final = "event_attribute"
REDACTED_LINK_ATTRIBUTE: Final = "link_attribute"
REDACTED_TRACE_STATE: Final = "trace_state"
REDACTED_STATUS_DESCRIPTION: Final = "status_description"
REDACTED_EXCEPTION_MESSAGE: Final = "exception_message"
REDACTED_EXCEPTION_STACKTRACE: Final = "exception_stacktrace"
REDACTED_RESOURCE_ATTRIBUTE: Final = "resource_attribute"
REDACTED_SCOPE: Final = "scope"
REDACTED_LOG_MESSAGE: Final = "log_message"
REDACTED_LOG_ARGUMENT: Final = "log_argument"
REDACTED_LOG_ATTRIBUTE: Final = "log_attribute"
REDACTED_METRIC: Final = "metric"
REDACTED_METRIC_ATTRIBUTE: Final = "metric_attribute"
REDACTED_EXEMPLAR_ATTRIBUTE: Final = "exemplar_attribute"
REDACTED_BAGGAGE: Final = "baggage"
REDACTED_UNWRAPPED: Final = "unwrapped"

REDACTED_KINDS: Final = tuple(
    sorted(value for name, value in dict(vars()).items() if name.startswith("REDACTED_") and name != "REDACTED_KIND")
)
"""All of these."""

CAPTURES: Final = {
    "exception_messages": "messages of exceptions, without their stack traces' source lines",
    "exception_stacktraces": "whole stack traces, messages and source lines included",
    "log_arguments": "arguments of log messages, in their place in the message",
    "log_messages": "log messages that are no literal in the calling source",
    "log_attributes": "fields of log records that are not on the list",
    "span_attributes": "attributes of spans, events and links that are not on the list",
    "span_names": "names of spans and events that are no literal in the source",
    "status_descriptions": "descriptions of spans' status",
    "metric_attributes": "attributes of data points and exemplars that are not on the list",
    "resource_attributes": "attributes of the resource that are not on the list",
    "unwrapped_exporters": "everything, through processors and exporters that can't be given redacted telemetry alone",
}
"""What `OTELEXT_CAPTURE` can open, and what leaves then."""

# --- limits ---------------------------------------------------------------------------------------

MAX_STAGES: Final = 64
MAX_DEVICES: Final = 512
"""Distinct devices, MIG devices and fans included: the driver names them, and a host has no more."""
MAX_VALUES: Final = 50
"""Distinct values a process may put into any other metric attribute, models included."""

MAXIMA: Final = {
    STAGE: MAX_STAGES,
    HW_ID: MAX_DEVICES,
    HW_PARENT: MAX_DEVICES,
    GPU_INDEX: MAX_DEVICES,
    GPU_PCI_BUS: MAX_DEVICES,
    TENANT_ID: 0,  # declared ones alone
}
"""Attributes with another limit than `MAX_VALUES`."""

ALWAYS_KEPT: Final = {STAGE: (*KNOWN_STAGES, UNATTRIBUTED_STAGE), OUTCOME: tuple(o.value for o in Outcome)}
"""Values that keep their place under the limit whether or not they were seen yet."""

# --- buckets --------------------------------------------------------------------------------------

# The GenAI convention's boundaries, and those on which objectives and alerts stand:
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
TTFT_BUCKETS: Final = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0, 30.0,
)  # fmt: skip
TPOT_BUCKETS: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
REQUEST_BUCKETS: Final = tuple(
    sorted({round(0.01 * 2**n, 2) for n in range(14)} | {0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0})
)
DURATION_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
RATIO_BUCKETS: Final = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)


# --- metrics --------------------------------------------------------------------------------------


class Kind(str, enum.Enum):
    """Instrument kinds of the OpenTelemetry metrics API."""

    HISTOGRAM = "histogram"
    COUNTER = "counter"
    OBSERVABLE_COUNTER = "observable_counter"
    OBSERVABLE_UP_DOWN_COUNTER = "observable_up_down_counter"
    OBSERVABLE_GAUGE = "observable_gauge"


class Producer(str, enum.Enum):
    """Who fills a catalogue row."""

    INFERENCE = "inference"
    FACTS = "facts"
    GPU = "gpu"
    SELF = "self"
    FOREIGN = "foreign"


@dataclass(frozen=True, eq=False)  # each is itself alone, and a start takes less time
class Metric:
    """One row of the catalogue.

    Attributes:
        name: Instrument name, as OTLP carries it.
        kind: Instrument kind.
        unit: UCUM unit, or an annotation in braces.
        description: One line for people.
        producer: Which part of otelext emits it; `foreign` rows come from elsewhere and are only read.
        attributes: Every attribute key that a data point may carry.
        optional: Keys out of `attributes` that are only there when the user asked for them.
        buckets: Explicit histogram boundaries in `unit`, empty for the other kinds.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    producer: Producer
    attributes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def attribute_keys(self) -> frozenset[str]:
        """All keys a data point may carry, asked for or not."""
        return frozenset(self.attributes) | frozenset(self.optional)


_ASKED = (MODEL_VERSION, TENANT_ID)

REQUEST_DURATION: Final = Metric(
    "gen_ai.server.request.duration",
    Kind.HISTOGRAM,
    "s",
    "Time from the start of an inference to its end.",
    Producer.INFERENCE,
    (OPERATION, PROVIDER, REQUEST_MODEL, OUTCOME, ERROR_TYPE),
    _ASKED,
    REQUEST_BUCKETS,
)
TTFT: Final = Metric(
    "gen_ai.server.time_to_first_token",
    Kind.HISTOGRAM,
    "s",
    "Time from the start of a completed inference to its first chunk that holds output.",
    Producer.INFERENCE,
    (OPERATION, PROVIDER, REQUEST_MODEL),
    _ASKED,
    TTFT_BUCKETS,
)
TPOT: Final = Metric(
    "gen_ai.server.time_per_output_token",
    Kind.HISTOGRAM,
    "s",
    "Producer's time per output token after the first chunk of a completed inference.",
    Producer.INFERENCE,
    (OPERATION, PROVIDER, REQUEST_MODEL),
    _ASKED,
    TPOT_BUCKETS,
)
STAGE_DURATION: Final = Metric(
    "vlm.stage.duration",
    Kind.HISTOGRAM,
    "s",
    "Time that a stage ran, without the time in which the consumer held a chunk.",
    Producer.INFERENCE,
    (STAGE, REQUEST_MODEL),
    _ASKED,
    DURATION_BUCKETS,
)
TTFT_STAGE_TIME: Final = Metric(
    "vlm.time_to_first_token.stage_time",
    Kind.COUNTER,
    "s",
    "Part of the time to first token that belongs to a stage, or to none (`unattributed`).",
    Producer.INFERENCE,
    (STAGE, REQUEST_MODEL),
    _ASKED,
)
CONSUMER_WAIT_TIME: Final = Metric(
    "vlm.consumer_wait",
    Kind.HISTOGRAM,
    "s",
    "Time in which a streaming inference waited for its consumer, between first and last output chunk.",
    Producer.INFERENCE,
    (REQUEST_MODEL,),
    _ASKED,
    DURATION_BUCKETS,
)
ADMISSION_TIME: Final = Metric(
    "vlm.admission",
    Kind.HISTOGRAM,
    "s",
    "Time from a request's entry into the ASGI application to the start of its first inference.",
    Producer.INFERENCE,
    (REQUEST_MODEL,),
    _ASKED,
    DURATION_BUCKETS,
)
INFERENCES: Final = Metric(
    "vlm.inferences",
    Kind.COUNTER,
    "{inference}",
    "Inferences that ended.",
    Producer.INFERENCE,
    (REQUEST_MODEL, OUTCOME),
    _ASKED,
)
INFERENCES_ACTIVE: Final = Metric(
    "vlm.inferences.active",
    Kind.OBSERVABLE_UP_DOWN_COUNTER,
    "{inference}",
    "Inferences that are running.",
    Producer.INFERENCE,
    (REQUEST_MODEL,),
)
TOKENS: Final = Metric(
    "vlm.tokens",
    Kind.COUNTER,
    "{token}",
    "Input and output tokens; with another outcome than `completed` they are wasted.",
    Producer.INFERENCE,
    (REQUEST_MODEL, TOKEN_TYPE, OUTCOME),
    _ASKED,
)
IMAGE_TOKENS: Final = Metric(
    "vlm.image_tokens",
    Kind.COUNTER,
    "{token}",
    "Input tokens that carry images, a part of the input tokens.",
    Producer.INFERENCE,
    (REQUEST_MODEL,),
    _ASKED,
)
IMAGES: Final = Metric(
    "vlm.images", Kind.COUNTER, "{image}", "Input images.", Producer.INFERENCE, (REQUEST_MODEL,), _ASKED
)
PAGES: Final = Metric(
    "vlm.pages", Kind.COUNTER, "{page}", "Input pages of documents.", Producer.INFERENCE, (REQUEST_MODEL,), _ASKED
)
QUEUE_SIZE: Final = Metric(
    "vlm.queue.size",
    Kind.OBSERVABLE_GAUGE,
    "{request}",
    "Requests that wait in a queue of the service.",
    Producer.FACTS,
    (QUEUE_NAME,),
)
MODEL_LOADED: Final = Metric(
    "vlm.model.loaded",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "1 while a model is loaded and ready, 0 while it is not.",
    Producer.FACTS,
    (REQUEST_MODEL,),
)
COST_TOTAL: Final = Metric(
    "vlm.cost", Kind.COUNTER, "{USD}", "Cost of inferences.", Producer.FACTS, (REQUEST_MODEL,), _ASKED
)
CRITICAL_FIELD_ERRORS: Final = Metric(
    "vlm.critical_field.errors",
    Kind.COUNTER,
    "{field}",
    "Critical fields whose recognised value differs from the truth.",
    Producer.FACTS,
    (FIELD,),
)
CRITICAL_FIELD_CHECKS: Final = Metric(
    "vlm.critical_field.checks",
    Kind.COUNTER,
    "{field}",
    "Critical fields that were compared with the truth.",
    Producer.FACTS,
    (FIELD,),
)
ACCURACY: Final = Metric(
    "vlm.accuracy",
    Kind.HISTOGRAM,
    "1",
    "Share of a document's fields that were recognised correctly.",
    Producer.FACTS,
    (DOCUMENT_TYPE, REQUEST_MODEL),
    (),
    RATIO_BUCKETS,
)
CONFIDENCE: Final = Metric(
    "vlm.confidence",
    Kind.HISTOGRAM,
    "1",
    "The model's own confidence in what it recognised.",
    Producer.FACTS,
    (DOCUMENT_TYPE, REQUEST_MODEL),
    (),
    RATIO_BUCKETS,
)
STRUCTURED_OUTPUT: Final = Metric(
    "vlm.structured_output",
    Kind.COUNTER,
    "{output}",
    "Structured outputs by whether they were valid.",
    Producer.FACTS,
    (REQUEST_MODEL, STRUCTURED_OUTPUT_RESULT),
)
CACHE_LOOKUPS: Final = Metric(
    "vlm.cache.lookups",
    Kind.COUNTER,
    "{lookup}",
    "Lookups in a cache of the service by result.",
    Producer.FACTS,
    (CACHE_NAME, CACHE_RESULT),
)
WORKER_QUEUE_SIZE: Final = Metric(
    "otelext.worker.queue.size",
    Kind.OBSERVABLE_GAUGE,
    "{record}",
    "Finished records that wait for otelext's worker.",
    Producer.SELF,
)
WORKER_QUEUE_CAPACITY: Final = Metric(
    "otelext.worker.queue.capacity",
    Kind.OBSERVABLE_GAUGE,
    "{record}",
    "Records that the worker's queue can hold.",
    Producer.SELF,
)
WORKER_DROPPED: Final = Metric(
    "otelext.worker.dropped",
    Kind.OBSERVABLE_COUNTER,
    "{record}",
    "Records dropped because the worker's queue was full.",
    Producer.SELF,
)
WORKER_ERRORS: Final = Metric(
    "otelext.worker.errors",
    Kind.OBSERVABLE_COUNTER,
    "{error}",
    "Errors raised by a processor, an instrument or a callback while the worker called it.",
    Producer.SELF,
)

REDACTED_TOTAL: Final = Metric(
    "otelext.redacted",
    Kind.OBSERVABLE_COUNTER,
    "{item}",
    "Names, texts and attributes that redaction took away or replaced.",
    Producer.SELF,
    (REDACTED_KIND,),
)

_HARDWARE = (HW_ID, HW_NAME, HW_TYPE, GPU_INDEX, GPU_PCI_BUS)
_GPU_OR_MIG = (*_HARDWARE, HW_PARENT)

GPU_UTILIZATION: Final = Metric(
    "hw.gpu.utilization",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "Share of time in which at least one kernel ran: busy, not efficient.",
    Producer.GPU,
    (*_GPU_OR_MIG, HW_GPU_TASK),
)
GPU_MEMORY_UTILIZATION: Final = Metric(
    "hw.gpu.memory.utilization",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "Share of GPU memory that is used.",
    Producer.GPU,
    _GPU_OR_MIG,
)
GPU_MEMORY_USAGE: Final = Metric(
    "hw.gpu.memory.usage",
    Kind.OBSERVABLE_UP_DOWN_COUNTER,
    "By",
    "GPU memory that is used.",
    Producer.GPU,
    _GPU_OR_MIG,
)
GPU_MEMORY_LIMIT: Final = Metric(
    "hw.gpu.memory.limit",
    Kind.OBSERVABLE_UP_DOWN_COUNTER,
    "By",
    "Size of GPU memory.",
    Producer.GPU,
    _GPU_OR_MIG,
)
HW_TEMPERATURE: Final = Metric(
    "hw.temperature",
    Kind.OBSERVABLE_GAUGE,
    "Cel",
    "Temperature of a GPU's die or memory.",
    Producer.GPU,
    (*_HARDWARE, HW_SENSOR_LOCATION),
)
HW_POWER: Final = Metric("hw.power", Kind.OBSERVABLE_GAUGE, "W", "Power that a GPU draws.", Producer.GPU, _HARDWARE)
HW_ENERGY: Final = Metric(
    "hw.energy",
    Kind.OBSERVABLE_COUNTER,
    "J",
    "Energy that a GPU used since this process reads it.",
    Producer.GPU,
    (*_HARDWARE, ENERGY_SOURCE),
)
GPU_IO: Final = Metric(
    "hw.gpu.io",
    Kind.OBSERVABLE_COUNTER,
    "By",
    "Bytes that a GPU received and transmitted since this process reads it.",
    Producer.GPU,
    (*_HARDWARE, IO_DIRECTION, GPU_LINK),
)
HW_ERRORS: Final = Metric(
    "hw.errors",
    Kind.OBSERVABLE_COUNTER,
    "{error}",
    "Errors of a GPU since this process reads it: ECC, Xid, and that it was lost.",
    Producer.GPU,
    (*_HARDWARE, ERROR_TYPE),
)
HW_FAN_SPEED_RATIO: Final = Metric(
    "hw.fan.speed_ratio",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "Speed of a GPU's fans as a share of their maximum.",
    Producer.GPU,
    (*_HARDWARE, HW_PARENT),
)
GPU_MEMORY_ACTIVITY: Final = Metric(
    "vlm.gpu.memory.activity",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "Share of time in which GPU memory was read or written.",
    Producer.GPU,
    _HARDWARE,
)
GPU_SM_ACTIVITY: Final = Metric(
    "vlm.gpu.sm.activity",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "Share of streaming multiprocessors that were busy, over time.",
    Producer.GPU,
    _GPU_OR_MIG,
)
GPU_TENSOR_ACTIVITY: Final = Metric(
    "vlm.gpu.tensor.activity",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "Share of time in which tensor cores were busy.",
    Producer.GPU,
    _GPU_OR_MIG,
)
GPU_CLOCK: Final = Metric(
    "vlm.gpu.clock",
    Kind.OBSERVABLE_GAUGE,
    "Hz",
    "Clock frequency of a GPU.",
    Producer.GPU,
    (*_HARDWARE, GPU_CLOCK_DOMAIN),
)
GPU_THROTTLING: Final = Metric(
    "vlm.gpu.throttling",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "1 while this reason holds a GPU's clocks down, else 0.",
    Producer.GPU,
    (*_HARDWARE, GPU_THROTTLE_REASON),
)
GPU_PERFORMANCE_STATE: Final = Metric(
    "vlm.gpu.performance_state",
    Kind.OBSERVABLE_GAUGE,
    "1",
    "Performance state of a GPU, from 0 (fastest) to 15.",
    Producer.GPU,
    _HARDWARE,
)
GPU_PROCESS_MEMORY: Final = Metric(
    "vlm.gpu.process.memory",
    Kind.OBSERVABLE_UP_DOWN_COUNTER,
    "By",
    "GPU memory that this process uses.",
    Producer.GPU,
    _GPU_OR_MIG,
)
GPU_ALLOCATOR_MEMORY: Final = Metric(
    "vlm.gpu.allocator.memory",
    Kind.OBSERVABLE_UP_DOWN_COUNTER,
    "By",
    "GPU memory that PyTorch's allocator of this process gave out (allocated) or holds (reserved).",
    Producer.GPU,
    (*_GPU_OR_MIG, GPU_ALLOCATOR_STATE),
)
ENERGY: Final = Metric(
    "vlm.energy",
    Kind.OBSERVABLE_COUNTER,
    "J",
    "Energy of this process's GPUs: its inferences' share of it by model, and what was used while none was active.",
    Producer.GPU,
    (REQUEST_MODEL, ENERGY_STATE, ENERGY_SOURCE),
)
GPU_POLL_AGE: Final = Metric(
    "otelext.gpu.poll.age",
    Kind.OBSERVABLE_GAUGE,
    "s",
    "Time since the GPUs were last read; it grows while a call of the driver hangs.",
    Producer.GPU,
)

GPU_METRICS: Final = (
    GPU_UTILIZATION,
    GPU_MEMORY_UTILIZATION,
    GPU_MEMORY_USAGE,
    GPU_MEMORY_LIMIT,
    HW_TEMPERATURE,
    HW_POWER,
    HW_ENERGY,
    GPU_IO,
    HW_ERRORS,
    HW_FAN_SPEED_RATIO,
    GPU_MEMORY_ACTIVITY,
    GPU_SM_ACTIVITY,
    GPU_TENSOR_ACTIVITY,
    GPU_CLOCK,
    GPU_THROTTLING,
    GPU_PERFORMANCE_STATE,
    GPU_PROCESS_MEMORY,
    GPU_ALLOCATOR_MEMORY,
    ENERGY,
    GPU_POLL_AGE,
)
"""Every metric of the GPU room."""

CANARY_SERVICE: Final = "otelext-doctor"
"""`service.name` of the canaries that `otelext doctor` sends, by which dashboards and alerts leave them out."""
CANARY_DURATION: Final = Metric(
    "otelext.canary.duration",
    Kind.HISTOGRAM,
    "s",
    "Length of the span of a canary, which stands for nothing.",
    Producer.SELF,
    (CANARY,),
    (),
    (0.25, 0.5, 0.75),
)
"""In no part of `METRICS`, as it says nothing of a service: nobody draws it, and only the doctor looks for it."""

METRICS: Final = {
    metric.name: metric
    for metric in (
        REQUEST_DURATION,
        TTFT,
        TPOT,
        STAGE_DURATION,
        TTFT_STAGE_TIME,
        CONSUMER_WAIT_TIME,
        ADMISSION_TIME,
        INFERENCES,
        INFERENCES_ACTIVE,
        TOKENS,
        IMAGE_TOKENS,
        IMAGES,
        PAGES,
        QUEUE_SIZE,
        MODEL_LOADED,
        COST_TOTAL,
        CRITICAL_FIELD_ERRORS,
        CRITICAL_FIELD_CHECKS,
        ACCURACY,
        CONFIDENCE,
        STRUCTURED_OUTPUT,
        CACHE_LOOKUPS,
        WORKER_QUEUE_SIZE,
        WORKER_QUEUE_CAPACITY,
        WORKER_DROPPED,
        WORKER_ERRORS,
        REDACTED_TOTAL,
        *GPU_METRICS,
    )
}
"""The catalogue by metric name."""
