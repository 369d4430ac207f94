"""GPUs as NVML tells of them: what is read, by whom on this host, and whose the energy is.

Comes in: NVML through pynvml, a clock, and a callable that gives the intervals of this process's inferences. Goes out:
immutable snapshots, and callables that observable instruments read. May import: `otelext.semconv`.
"""
