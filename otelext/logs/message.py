"""What leaves of a message: its constant part, with `[redacted]` in the place of each argument.

A template is looked at once and kept by file and text, so that a message that was logged before costs one look-up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.constant import REDACTED, Constant
from otelext.logs.servers import KNOWN, TEXTS
from otelext.processors.redaction import literals
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.rules import ABSENT
from otelext.processors.redaction.written import has_constant

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from otelext.processors.redaction.rules import Rules

_MAX_TEMPLATES: Final = 8192
_MAX_LENGTH: Final = 65_536  # characters; a longer template is no message
_WRAPPERS: Final = 3  # functions around the call of the logger that may hand a message on
# https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting
_CONVERSION: Final = re.compile(
    r"%(?P<key>\((?:[^()]|\([^()]*\))*\))?(?P<form>[#0\- +]*(?:\*|\d+)?(?:\.(?:\*|\d+)?)?)[hlL]?(?P<type>[a-zA-Z%])"
)


REDACTED_BODY: Final = Constant(REDACTED)
"""What stands for a message of which nothing leaves."""


class Template:
    """A message before its arguments are put in.

    Attributes:
        text: As it was written, without line feeds at its end.
        redacted: With `[redacted]` in the place of each argument.
        conversions: How many arguments it takes.
        named: Whether it takes some of them by name.
    """

    __slots__ = ("conversions", "named", "redacted", "text")

    def __init__(self, text: str) -> None:
        self.text = Constant(text.rstrip("\n"))
        self.conversions = 0
        self.named = False
        self.redacted = Constant(self._replaced(self._redact))

    def filled(self, given: Mapping[Any, Any], rules: Rules) -> Constant:
        """The message with those named arguments in their place whose names may leave."""
        return Constant(self._replaced(lambda found: _allowed(found, given, rules)))

    def _replaced(self, one: Callable[[re.Match[str]], str]) -> str:
        return _CONVERSION.sub(lambda found: "%" if found["type"] == "%" else one(found), self.text)

    def _redact(self, found: re.Match[str]) -> str:
        self.conversions += 1
        self.named = self.named or found["key"] is not None
        return REDACTED


_templates: dict[tuple[str, str], Template] = {}


def body_of(
    message: object,
    args: object,
    filename: str,
    rules: Rules,
    frame: Callable[[], FrameType | None],
    logger: str = "",
) -> Constant:
    """What leaves of a message. Never raises, and never asks an argument what it looks like unless it may leave.

    Args:
        message: The message as it was logged, of any type.
        args: Its arguments, a tuple or one mapping; whatever is false for none.
        filename: The source file that logged it, as code objects name it.
        rules: What may leave.
        frame: Finds the frame that logged it; asked where the message was not seen before.
        logger: The logger's name.
    """
    try:
        return _body(message, args, filename, rules, frame, logger)
    except Exception:  # noqa: BLE001  # whatever a message's or an argument's own methods do
        COUNTS.add(semconv.REDACTED_LOG_MESSAGE)
        return REDACTED_BODY


def is_written(text: str, filename: str, frame: FrameType | None) -> bool:
    """Whether a text is a literal of the code that logs it.

    Args:
        text: The text.
        filename: The source file that logs, as code objects name it.
        frame: The frame that logs. Functions around it may have handed the text on, as wrappers of loggers do.
    """
    # The running code first: it costs no reading of a file.
    if frame is not None and has_constant(frame.f_code, text):
        return True
    if literals.is_literal(text, filename, frame):
        return True
    for _ in range(_WRAPPERS):
        frame = None if frame is None else frame.f_back
        if frame is None:
            return False
        if has_constant(frame.f_code, text):
            return True
    return False


def _body(
    message: object, args: object, filename: str, rules: Rules, frame: Callable[[], FrameType | None], logger: str
) -> Constant:
    if type(message) is Constant and not _is_given(args):
        return message
    template = _templates.get((filename, message)) if type(message) is str else None
    if template is None:
        template = _template(message, filename, frame, rules)
        if template is None:
            COUNTS.add(semconv.REDACTED_LOG_MESSAGE)
            return REDACTED_BODY
    if not _is_given(args):
        return template.text
    if not template.conversions:
        return template.redacted
    if rules.capture and rules.captures("log_arguments"):
        whole = _formatted(template, args)
        if whole is not None:
            return whole
    if template.named and isinstance(args, Mapping):
        return template.filled(args, rules)
    known = KNOWN.get((logger, template.text))
    found = None if known is None else known.filled(args)
    if found is not None:
        COUNTS.add(semconv.REDACTED_LOG_ARGUMENT, found[1])
        return found[0]
    COUNTS.add(semconv.REDACTED_LOG_ARGUMENT, template.conversions)
    return template.redacted


def _is_given(args: object) -> bool:
    # The truth of a mapping of the user's is the user's code; logging asks the same.
    return args is not None and args != () and bool(args)


def _template(message: object, filename: str, frame: Callable[[], FrameType | None], rules: Rules) -> Template | None:
    text = str.__str__(message) if isinstance(message, str) else None
    if text is not None:
        template = _templates.get((filename, text))
        if template is not None:
            return template
        if text in TEXTS or (len(text) <= _MAX_LENGTH and is_written(text, filename, frame())):
            template = Template(text)
            if len(_templates) < _MAX_TEMPLATES:
                _templates[filename, text] = template
            return template
    if rules.capture and rules.captures("log_messages"):
        return Template(str(message) if text is None else text)
    return None


def _formatted(template: Template, args: Any) -> Constant | None:
    try:
        return Constant(str.__str__(template.text) % args)
    except Exception:  # noqa: BLE001  # a wrong format, or the argument's own methods
        return None


def _allowed(found: re.Match[str], given: Mapping[Any, Any], rules: Rules) -> str:
    if found["key"] is not None:
        key = found["key"][1:-1]
        if key in rules.names:
            with suppress(Exception):  # a missing key, a wrong format, or the value's own methods
                value = rules.value(key, given[key])
                if value is not ABSENT:
                    return f"%{found['form']}{found['type']}" % (value,)
    COUNTS.add(semconv.REDACTED_LOG_ARGUMENT)
    return REDACTED
