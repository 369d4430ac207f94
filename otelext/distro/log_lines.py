"""Log records as OTLP and as lines, and the line that each inference ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelext.logs import inference, install
from otelext.logs.sinks import LinesHandler

if TYPE_CHECKING:
    from otelext.distro.config import Config


def prepare(config: Config) -> None:
    """Set logging up as the settings say; a second time takes over what the instrumentation added since."""
    install.install(
        format=config.log_format,
        level=config.log_level,
        file=config.log_file,
        file_size=config.log_file_size,
        file_count=config.log_file_count,
        otlp=config.instrument,
    )
    lines = next((handler for handler in install.INSTALLED.handlers if isinstance(handler, LinesHandler)), None)
    inference.install(per_second=config.log_inferences, write=None if lines is None else lines.publish)


def settle() -> None:
    """Take over what instrumentations have added to logging since."""
    install.install()
