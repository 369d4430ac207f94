"""`python -m otelext.cli`, the same as the script `otelext`."""

from __future__ import annotations

from otelext.cli import main

main()
