"""How values, addresses and answers are shown to people, and to whoever reads what they paste: without credentials."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "(set, not shown)"
_SECRET: Final = re.compile(
    r"HEADER|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(API|HASH)_?KEY|LICENSE|DSN|(?<!ALLOW_)(?<!METRIC_)ATTRIBUTES$"
)
_PATH_OF_A_SECRET: Final = re.compile(r"(_FILE|_CERTIFICATE|_CLIENT_KEY)$")
_LONGEST: Final = 120
_NO_ADDRESS: Final = re.compile(r"[\s=,]")
# Addresses of some receivers hold a key in their path. Words of a path are shorter, and hold no digits.
_KEY_IN_A_PATH: Final = re.compile(r"(?<=/)(?=[^/]*\d)[^/]{16,}|(?<=/)[^/]{32,}")


def shown(name: str, value: str) -> str:
    """`NAME=value` as it may be printed.

    Args:
        name: Of the variable.
        value: What it is set to.
    """
    if is_secret(name):
        return f"{name}={HIDDEN}"
    if "://" in value or name.upper().endswith(("ENDPOINT", "_PROXY")):
        return f"{name}={address(value)}"
    text = value if value.isprintable() else ascii(value)[1:-1]
    return f"{name}={text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"


def typed(name: str, value: str) -> str:
    """`NAME=value` as it is to be typed, with dots for what is not printed."""
    said = shown(name, value)
    return f"{name}=..." if HIDDEN in said else said


def is_secret(name: str) -> bool:
    """Whether the value of a variable of that name may hold credentials."""
    upper = name.upper()
    return bool(_SECRET.search(upper)) and not _PATH_OF_A_SECRET.search(upper)


def address(url: str) -> str:
    """An address without what may be credentials: user, query, fragment, and long parts of the path."""
    plain = re.split(r"[?#]", url if url.isprintable() else ascii(url)[1:-1], maxsplit=1)[0]
    scheme, separator, rest = plain.rpartition("://")
    # What stands before the last @ is the user's, also where a password holds a slash.
    rest = rest.rpartition("@")[2]
    if not separator and _NO_ADDRESS.search(rest.strip()):
        return HIDDEN
    return f"{scheme}{separator}{_KEY_IN_A_PATH.sub('***', rest)}"


def shortened(text: str, most: int) -> str:
    """A text on one line, and no longer than people read: `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}..."
