"""Where JSON does not fit a struct: the field's path and its value, out of msgspec's message."""

import re
from typing import Any

import msgspec

_PATH = re.compile(r" - at `(?:key in )?\$?\.?([^`]*)`$")
_UNKNOWN_FIELD = re.compile(r"^Object contains unknown field `([^`]*)`")
_MISSING_FIELD = re.compile(r"^Object missing required field `([^`]*)`")


def located(message: str) -> tuple[str, str]:
    """msgspec's message without its path, and the path as in ``legs[0].qty``."""
    found = _PATH.search(message)
    path = found[1] if found else ""
    message = _PATH.sub("", message)
    for pattern in (_UNKNOWN_FIELD, _MISSING_FIELD):
        if field := pattern.match(message):
            path = f"{path}.{field[1]}" if path else field[1]
    return message, path


def at(value: Any, path: str) -> Any:
    """What is at `path` of `value`, UNSET when nothing is."""
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return msgspec.UNSET
    return value
