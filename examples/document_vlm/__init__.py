"""A document service with a real vision stage (RapidOCR) and a real language model (SmolLM2 through llama.cpp).

Comes in: photographed or scanned pages over HTTP. Goes out: an answer about them, streamed or whole, and the
critical fields found. Imports `otelext`'s public face, never the other way round; `README.md` beside this file
says how to run it and lists every option.
"""
