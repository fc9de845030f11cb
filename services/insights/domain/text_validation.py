"""Validates texts, tickers, tags and URLs from requests.

Every function returns the normalized value, or raises CommandRejected with the path of the field.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from tapewire.decimals import abbreviate
from tapewire.log import EVERYBODY, CommandRejected
from tapewire.runtime.contracts.insights import (
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    MAX_URL_CHARACTERS,
)
from tapewire.values import InvalidValue, validate_symbol

MAX_USER_ID_CHARACTERS = 128
_URL_PATTERN = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")
"""The characters of RFC 3986."""


def validate_line(path: str, value: str, max_characters: int) -> str:
    """Return `value` trimmed, with single spaces: 1 to `max_characters`, no control characters."""
    line = " ".join(value.split())
    if not 1 <= len(line) <= max_characters:
        raise _build_rejection(
            path, f"must have 1 to {max_characters} characters, not {len(line)}", line
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in line):
        raise _build_rejection(path, "must not have control characters", ascii(line))
    return line


def validate_tickers(path: str, values: Sequence[str], max_count: int) -> tuple[str, ...]:
    """Return the tickers trimmed and in upper case, each once, in their order."""
    return _validate_each(path, values, max_count, _validate_ticker)


def validate_tags(path: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return the tags trimmed and in lower case, each once, in their order."""
    return _validate_each(path, values, MAX_TAGS, _validate_tag)


def validate_url(path: str, value: str) -> str:
    """Return `value` trimmed: an http or https URL without credentials, safe to link to."""
    url = value.strip()
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise CommandRejected("invalid", f"{path} must not hold a user or a password", path)
    if not 1 <= len(url) <= MAX_URL_CHARACTERS:
        message = f"must have 1 to {MAX_URL_CHARACTERS} characters, not {len(url)}"
        raise _build_rejection(path, message, url)
    if not _URL_PATTERN.fullmatch(url):
        raise _build_rejection(path, "must have no other characters than URLs have", ascii(url))
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises
    except ValueError as error:
        raise _build_rejection(path, f"is no address ({error})", url) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _build_rejection(path, "must be http://… or https://…", url)
    return url


def validate_user_id(value: str) -> str:
    """Return the id of one user. The owner of shared events is not a user."""
    if value == EVERYBODY:
        raise _build_rejection("userId", "must be one user", value)
    if not 1 <= len(value) <= MAX_USER_ID_CHARACTERS:
        raise _build_rejection(
            "userId", f"must have 1 to {MAX_USER_ID_CHARACTERS} characters", value
        )
    return value


def _validate_each(
    path: str, values: Sequence[str], max_count: int, validate: Callable[[str, str], str]
) -> tuple[str, ...]:
    if len(values) > max_count:
        raise CommandRejected("invalid", f"at most {max_count} {path}, not {len(values)}", path)
    return tuple(
        dict.fromkeys(validate(f"{path}[{index}]", value) for index, value in enumerate(values))
    )


def _validate_ticker(path: str, value: str) -> str:
    """A ticker is the name of a symbol in upper case: news write names in any case."""
    try:
        return validate_symbol(path, value.strip()).upper()
    except InvalidValue as error:
        raise CommandRejected("invalid", str(error), path) from None


def _validate_tag(path: str, value: str) -> str:
    """Validate after lowering the case, which can lengthen a text."""
    return validate_line(path, value.lower(), MAX_TAG_CHARACTERS)


def _build_rejection(path: str, requirement: str, value: object) -> CommandRejected:
    return CommandRejected("invalid", f"{path} {requirement}: {abbreviate(value)!r}", path)
