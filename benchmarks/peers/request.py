"""What a peer's request consists of: that of `raw_otel.py`, spelled without otelext, which no peer's environment has."""

from __future__ import annotations

BEFORE_FIRST_TOKEN = ("decode_image", "preprocess", "vision_encode", "prefill")
AFTER_IT = "postprocess"
OPERATION = "chat"
PROVIDER = "vllm"
MODEL = "qwen2.5-vl-7b"
INPUT_TOKENS = 1218
OUTPUT_TOKENS = 3
