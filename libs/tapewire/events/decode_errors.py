"""Finds the field that does not fit a struct, and its value, from msgspec's error message."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

_PATH_PATTERN = re.compile(r" - at `(?:key in )?\$?\.?([^`]*)`$")
_UNKNOWN_FIELD_PATTERN = re.compile(r"^Object contains unknown field `([^`]*)`")
_MISSING_FIELD_PATTERN = re.compile(r"^Object missing required field `([^`]*)`")


def split_error_path(message: str) -> tuple[str, str]:
    """Split msgspec's message into the text and the path, such as ``legs[0].qty``."""
    found = _PATH_PATTERN.search(message)
    path = found[1] if found else ""
    message = _PATH_PATTERN.sub("", message)
    for pattern in (_UNKNOWN_FIELD_PATTERN, _MISSING_FIELD_PATTERN):
        if field := pattern.match(message):
            path = f"{path}.{field[1]}" if path else field[1]
    return message, path


def value_at(value: Any, path: str) -> Any:
    """The value at `path`; UNSET if there is none."""
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return msgspec.UNSET
    return value


def first_unknown_field(content: Any, decoded: Any) -> str | None:
    """The path of the first field of `content` that `decoded`, which was decoded from it, does not
    have.

    Structs of events ignore unknown fields, because older programs read newer events. A caller that
    writes an event by hand needs to know of them.
    """
    for name, value, inner in _iter_fields(content, decoded):
        if inner is msgspec.UNSET:
            return name
        deeper = first_unknown_field(value, inner)
        if deeper is not None:
            return f"{name}{deeper}" if deeper.startswith("[") else f"{name}.{deeper}"
    return None


def _iter_fields(content: Any, decoded: Any) -> Iterable[tuple[str, Any, Any]]:
    """Each name and value of `content`, with the decoded value, or UNSET if there is none."""
    if isinstance(content, list) and isinstance(decoded, (list, tuple)):
        for number, (value, inner) in enumerate(zip(content, decoded, strict=False)):
            yield f"[{number}]", value, inner
    elif isinstance(content, dict) and isinstance(decoded, msgspec.Struct):
        names = dict(zip(decoded.__struct_encode_fields__, decoded.__struct_fields__, strict=True))
        tag = decoded.__struct_config__.tag_field
        for name, value in content.items():
            if name in names:
                yield name, value, getattr(decoded, names[name])
            elif name != tag:
                yield name, value, msgspec.UNSET
