"""Configurations of the Collector: renders them from the files in `collector/`, and validates any.

Comes in: choices, or YAML files. Goes out: commented YAML, or findings. May import `otelext.semconv` only; needs the
extra `pipeline`.
"""
