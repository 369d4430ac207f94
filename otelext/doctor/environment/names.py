"""The names of environment variables that OpenTelemetry for Python, its instrumentations and otelext read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from opentelemetry import environment_variables as api
from opentelemetry.instrumentation import environment_variables as instrumentation
from opentelemetry.sdk import environment_variables as sdk

from otelext.distro.variables import variables
from otelext.doctor.settings import VARIABLES

if TYPE_CHECKING:
    from types import ModuleType

    from otelext.doctor.environment.installed import Installed

# Those of packages that may be missing here, or that export no name for them:
# https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
# https://github.com/open-telemetry/opentelemetry-python-contrib
_FURTHER: Final = """
OTEL_ENTITIES OTEL_EXPORTER_ZIPKIN_PROTOCOL OTEL_PYTHON_OPAMP_ENDPOINT OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN
OTEL_PYTHON_LOGGER_PROVIDER OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED
OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION OTEL_PYTHON_LOG_CODE_ATTRIBUTES OTEL_PYTHON_LOG_CORRELATION OTEL_PYTHON_LOG_FORMAT
OTEL_PYTHON_LOG_HANDLER_LEVEL OTEL_PYTHON_LOG_HANDLER_LEVEL_BY_NAME OTEL_PYTHON_LOG_LEVEL
OTEL_PYTHON_EXCLUDED_URLS OTEL_PYTHON_AIOHTTP_CLIENT_EXCLUDED_URLS OTEL_PYTHON_AIOHTTP_SERVER_EXCLUDED_URLS
OTEL_PYTHON_ASGI_EXCLUDED_URLS OTEL_PYTHON_DJANGO_EXCLUDED_URLS OTEL_PYTHON_FALCON_EXCLUDED_URLS
OTEL_PYTHON_FASTAPI_EXCLUDED_URLS OTEL_PYTHON_FLASK_EXCLUDED_URLS OTEL_PYTHON_HTTPX_EXCLUDED_URLS
OTEL_PYTHON_PYRAMID_EXCLUDED_URLS OTEL_PYTHON_REQUESTS_EXCLUDED_URLS OTEL_PYTHON_STARLETTE_EXCLUDED_URLS
OTEL_PYTHON_TORNADO_EXCLUDED_URLS OTEL_PYTHON_URLLIB_EXCLUDED_URLS OTEL_PYTHON_URLLIB3_EXCLUDED_URLS
OTEL_PYTHON_DJANGO_INSTRUMENT OTEL_PYTHON_DJANGO_MIDDLEWARE_POSITION OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS
OTEL_PYTHON_FALCON_TRACED_REQUEST_ATTRS OTEL_PYTHON_TORNADO_TRACED_REQUEST_ATTRS
OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE OTEL_PYTHON_ASYNCIO_FUTURE_TRACE_ENABLED
OTEL_PYTHON_ASYNCIO_TO_THREAD_FUNCTION_NAMES_TO_TRACE OTEL_PYTHON_GRPC_EXCLUDED_SERVICES
OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS
OTEL_INSTRUMENTATION_AWS_LAMBDA_FLUSH_TIMEOUT OTEL_LAMBDA_DISABLE_AWS_CONTEXT_PROPAGATION
OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE
OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE
OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS
OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK
OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH
OTEL_INSTRUMENTATION_GENAI_UPLOAD_FORMAT OTEL_INSTRUMENTATION_GENAI_UPLOAD_MAX_QUEUE_SIZE
OTEL_INSTRUMENTATION_OPENAI_AGENTS_CAPTURE_CONTENT OTEL_INSTRUMENTATION_OPENAI_AGENTS_CAPTURE_METRICS
OTEL_INSTRUMENTATION_OPENAI_AGENTS_SYSTEM OTEL_GOOGLE_GENAI_GENERATE_CONTENT_CONFIG_EXCLUDES
OTEL_GOOGLE_GENAI_GENERATE_CONTENT_CONFIG_INCLUDES
"""

RENAMED: Final = {
    "OTEL_EXPERIMENTAL_CONFIG_FILE": sdk.OTEL_CONFIG_FILE,
    "OTEL_EXPORTER_OTLP_SPAN_INSECURE": sdk.OTEL_EXPORTER_OTLP_TRACES_INSECURE,
    "OTEL_EXPORTER_OTLP_METRIC_INSECURE": sdk.OTEL_EXPORTER_OTLP_METRICS_INSECURE,
    "OTEL_EXPORTER_OTLP_SPAN_ENDPOINT": sdk.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    "OTEL_EXPORTER_OTLP_METRIC_ENDPOINT": sdk.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    "OTEL_TRACE_EXPORTER": api.OTEL_TRACES_EXPORTER,
    "OTEL_TRACE_SAMPLER": sdk.OTEL_TRACES_SAMPLER,
    "OTEL_TRACE_SAMPLER_ARG": sdk.OTEL_TRACES_SAMPLER_ARG,
    "OTEL_METRICS_EXPORT_INTERVAL": sdk.OTEL_METRIC_EXPORT_INTERVAL,
    "OTEL_PYTHON_TRACER_SAMPLER": sdk.OTEL_TRACES_SAMPLER,
}
"""Names of earlier specifications, and as other names' grammar suggests them."""

# Environments are shared: other languages' SDKs and agents, the Collector, the files of a stack, and the operator and
# the service links of Kubernetes (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_OF_OTHERS: Final = re.compile(
    r"OTELEXT_(COLLECTOR|JAEGER|PROMETHEUS|LOKI|ALERTMANAGER|GRAFANA|STACK)_.*"
    r"|OTEL_(JAVA|JAVAAGENT|DOTNET|NODE|GO|RUBY|PHP|CPP|RUST|SWIFT|ERLANG|EBPF|INJECTOR|LAMBDA|AWS|COLLECTOR|DEMO)_.*"
    r"|OTEL_RESOURCE_ATTRIBUTES_[A-Z_]+|OTEL_(POD|NODE)_IP"
    r"|OTEL[A-Z0-9_]*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
# Of the specification, and of exporters that are no more.
_READ_BY_NOTHING: Final = re.compile(r"OTEL_LOG_LEVEL|OTEL_EXPORTER_(ZIPKIN|JAEGER)_.*")
_URLS_OF_AN_INSTRUMENTATION: Final = re.compile(r"OTEL_PYTHON_[A-Z0-9_]+_(EXCLUDED_URLS|TRACED_REQUEST_ATTRS)")


def known(here: Installed) -> frozenset[str]:
    """Every name that something reads; installed packages say theirs as they say it to `opentelemetry-instrument`."""
    modules: list[ModuleType] = [api, instrumentation, sdk]
    for plugin in here.plugins("opentelemetry_environment_variables"):
        try:
            modules.append(plugin.entry_point.load())
        except Exception:  # noqa: BLE001, S112  # a broken package, which is no matter of names
            continue
    return frozenset(
        {variable.name for variable in variables()}
        | set(_FURTHER.split())
        | set(VARIABLES)
        | {
            value
            for module in modules
            for name, value in vars(module).items()
            if name.lstrip("_").startswith("OTEL_") and isinstance(value, str) and value.startswith("OTEL_")
        }
    )


def is_of_others(name: str) -> bool:
    """Whether something else than a service in Python reads a variable of that name, or writes it for all to read."""
    return bool(_OF_OTHERS.fullmatch(name))


def is_of_an_instrumentation(name: str) -> bool:
    """Whether the name is one of those that instrumentations make of their own."""
    return bool(_URLS_OF_AN_INSTRUMENTATION.fullmatch(name))


def is_read_by_nothing(name: str) -> bool:
    """Whether it is a variable of the specification's that the Python SDK does not read."""
    return bool(_READ_BY_NOTHING.fullmatch(name))
