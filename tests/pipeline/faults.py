"""A configuration without a fault, and every fault that `otelext collector validate` looks for, made in it."""

from __future__ import annotations

from typing import Final

CLEAN: Final = """\
extensions:
  file_storage:
    directory: /var/lib/otelcol
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
      http:
        endpoint: 127.0.0.1:4318
processors:
  memory_limiter:
    check_interval: 1s
    limit_mib: 512
  tail_sampling:
    policies: [{name: all, type: always_sample}]
connectors:
  span_metrics:
exporters:
  otlp_grpc/jaeger:
    endpoint: jaeger:4317
    retry_on_failure:
      max_elapsed_time: 0s
    sending_queue:
      storage: file_storage
  otlp_http/prometheus:
    endpoint: http://prometheus:9090/api/v1/otlp
    headers:
      authorization: Bearer ${env:PROMETHEUS_TOKEN}
    retry_on_failure:
      max_elapsed_time: 0s
    sending_queue:
      storage: file_storage
service:
  extensions: [file_storage]
  pipelines:
    traces/counted:
      receivers: [otlp]
      processors: [memory_limiter]
      exporters: [span_metrics]
    traces/kept:
      receivers: [otlp]
      processors: [memory_limiter, tail_sampling]
      exporters: [otlp_grpc/jaeger]
    metrics:
      receivers: [otlp, span_metrics]
      processors: [memory_limiter]
      exporters: [otlp_http/prometheus]
"""

# What stands there, what is written instead, the rule that is broken, the beginning of the line, a word of what to write.
FAULTS: Final = [
    (
        "  otlp_grpc/jaeger:\n",
        "  otlphttp: {endpoint: 'http://a:1'}\n  otlp_grpc/jaeger:\n",
        "old-name",
        "  otlphttp",
        "otlp_http",
    ),
    (
        "  otlp:\n",
        "  file_log: {include: [/log], operators: [{type: move, form: body, from: body, to: attributes.a}]}\n  otlp:\n",
        "ignored-key",
        "  file_log",
        "from",
    ),
    (
        "  memory_limiter:\n",
        "  memory_limitre: {}\n  memory_limiter:\n",
        "unknown-component",
        "  memory_limitre",
        "memory_limiter",
    ),
    ("  span_metrics:\n", "  span_metrics:\n  otlp: {}\n", "unknown-component", "  otlp", "receiver"),
    (
        "  otlp_grpc/jaeger:\n",
        "  jaeger:\n    endpoint: a:1\n  otlp_grpc/jaeger:\n",
        "removed-component",
        "  jaeger",
        "otlp_grpc",
    ),
    (
        "  otlp_grpc/jaeger:\n",
        "  loki:\n    endpoint: a:1\n  otlp_grpc/jaeger:\n",
        "removed-component",
        "  loki",
        "otlp_http",
    ),
    ("  otlp_grpc/jaeger:\n", "  logging:\n  otlp_grpc/jaeger:\n", "removed-component", "  logging", "debug"),
    ("  memory_limiter:\n", "  batch:\n  memory_limiter:\n", "deprecated", "  batch", "sending_queue"),
    ("    limit_mib: 512", "    limit_mb: 512", "unknown-key", "    limit_mb", "limit_mib"),
    (
        "      storage: file_storage\n  otlp_http",
        "      storage: file_storage\n      que_size: 1\n  otlp_http",
        "unknown-key",
        "      que_size",
        "queue_size",
    ),
    (
        "service:\n",
        "service:\n  telemetry: {metrics: {address: 0.0.0.0:8888}}\n",
        "telemetry-address",
        "  telemetry",
        "readers",
    ),
    ("service:\n", "service:\n  pipeline: {}\n", "unknown-key", "  pipeline", "pipelines"),
    ("service:\n", "exporter: {}\nservice:\n", "unknown-section", "exporter", "exporters"),
    (
        "exporters: [otlp_grpc/jaeger]",
        "exporters: [otlp_grpc/jager]",
        "undeclared",
        "      exporters: [otlp_grpc/jager",
        "otlp_grpc/jaeger",
    ),
    (
        "processors: [memory_limiter, tail",
        "processors: [memory_limiter, filter/a, tail",
        "undeclared",
        "      processors: [memory_limiter, filter",
        "processors",
    ),
    ("extensions: [file_storage]", "extensions: [file_storage, pprof]", "undeclared", "  extensions: [", "extensions"),
    ("extensions: [file_storage]", "extensions: []", "undeclared", "      storage", "service::extensions"),
    (
        "  file_storage:\n",
        "  zpages: {endpoint: 127.0.0.1:1}\n  file_storage:\n",
        "unused",
        "  zpages",
        "service::extensions",
    ),
    ("receivers: [otlp, span_metrics]", "receivers: [otlp]", "connector-ends", "  span_metrics", "receivers"),
    (
        "      processors: [memory_limiter]\n      exporters: [span_metrics]",
        "      processors: [memory_limiter]\n      exporters: []",
        "incomplete-pipeline",
        "    traces/counted",
        "exporters",
    ),
    ("    metrics:\n", "    metricks:\n", "unsupported-signal", "    metricks", "metrics"),
    (
        "processors: [memory_limiter]\n      exporters: [otlp_http",
        "processors: [memory_limiter, tail_sampling]\n      exporters: [otlp_http",
        "unsupported-signal",
        "      processors: [memory_limiter, tail",
        "traces",
    ),
    (
        "[memory_limiter, tail_sampling]",
        "[memory_limiter, tail_sampling, tail_sampling]",
        "used-twice",
        "      processors: [memory_limiter, tail",
        "once",
    ),
    (
        "[memory_limiter, tail_sampling]",
        "[tail_sampling, memory_limiter]",
        "memory-limiter-not-first",
        "      processors: [tail",
        "first",
    ),
    ("[memory_limiter, tail_sampling]", "[tail_sampling]", "no-memory-limiter", "    traces/kept", "memory_limiter"),
    (
        "exporters: [otlp_grpc/jaeger]",
        "exporters: [otlp_grpc/jaeger, span_metrics]",
        "sampled-before-counted",
        "      processors: [memory_limiter, tail",
        "second pipeline",
    ),
    (
        "      storage: file_storage\n  otlp_http",
        "      num_consumers: 2\n  otlp_http",
        "queue-in-memory",
        "    sending_queue",
        "file_storage",
    ),
    (
        "    sending_queue:\n      storage: file_storage\n  otlp_http",
        "  otlp_http",
        "queue-in-memory",
        "  otlp_grpc/jaeger",
        "file_storage",
    ),
    (
        "    sending_queue:\n      storage: file_storage\n  otlp_http",
        "    sending_queue: {enabled: false}\n  otlp_http",
        "queue-in-memory",
        "    sending_queue",
        "file_storage",
    ),
    (
        "max_elapsed_time: 0s\n    sending_queue:\n      storage: file_storage\n  otlp_http",
        "max_elapsed_time: 10m\n    sending_queue:\n      storage: file_storage\n  otlp_http",
        "retry-ends",
        "      max_elapsed_time: 10m",
        "0s",
    ),
    (
        "    retry_on_failure:\n      max_elapsed_time: 0s\n    sending_queue:\n      storage: file_storage\n  otlp_http",
        "    sending_queue:\n      storage: file_storage\n  otlp_http",
        "retry-ends",
        "  otlp_grpc/jaeger",
        "0s",
    ),
    ("endpoint: 127.0.0.1:4317", "endpoint: 0.0.0.0:4317", "open-to-all", "        endpoint: 0.0", "127.0.0.1:4317"),
    ("endpoint: 127.0.0.1:4317", "endpoint: ':4317'", "open-to-all", "        endpoint: ':4317", "127.0.0.1:4317"),
    ("endpoint: 127.0.0.1:4317", "endpoint: '[::]:4317'", "open-to-all", "        endpoint: '[::]", "127.0.0.1:4317"),
    ("Bearer ${env:PROMETHEUS_TOKEN}", "Bearer abc123", "plain-secret", "      authorization", "${env:"),
    (
        "Bearer ${env:PROMETHEUS_TOKEN}",
        "${env:PROMETHEUS_TOKEN:-Bearer abc123}",
        "plain-secret",
        "      authorization",
        "${env:",
    ),
    ("http://prometheus:9090", "http://user:pass@prometheus:9090", "plain-secret", "    endpoint: http", "${env:"),
    ("127.0.0.1:4318", "127.0.0.1:4317", "port-twice", "        endpoint: 127.0.0.1:4317", "another port"),
    ("endpoint: jaeger:4317", "endpoint: jaeger:4318", "port-of-other-protocol", "    endpoint: jaeger:4318", "4317"),
    ("http://prometheus:9090/api/v1/otlp", "http://other:4317", "port-of-other-protocol", "    endpoint: http", "4318"),
    ("http://prometheus:9090/api/v1/otlp", "other:4318", "endpoint-form", "    endpoint: other", "http://"),
    (
        "http://prometheus:9090/api/v1/otlp",
        "http://other:4318/v1/metrics",
        "endpoint-form",
        "    endpoint: http",
        "metrics_endpoint",
    ),
    ("endpoint: jaeger:4317", "endpoint: localhost:4317", "sends-to-itself", "    endpoint: localhost", "next hop"),
    (
        "http://prometheus:9090/api/v1/otlp",
        "http://127.0.0.1:4318",
        "sends-to-itself",
        "    endpoint: http",
        "next hop",
    ),
]
