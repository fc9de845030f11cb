"""Texts, words and addresses from outside, within bounds.

Each function returns what is kept, or refuses with the path of the field and the value.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from tapewire.log import EVERYBODY, Refusal
from tapewire.runtime.contracts.insights import MOST_TAGS, TAG_CHARACTERS

TICKER_CHARACTERS = 16
URL_CHARACTERS = 1024
USER_CHARACTERS = 128
_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")
"""The characters of RFC 3986."""
_TICKER = re.compile(r"[A-Za-z0-9.^=/:_&+-]*")
SHOWN = 40
"""Characters of a bad value that an error repeats."""


def one_line(path: str, value: str, most: int) -> str:
    """`value` trimmed, with each run of white space as one space; 1 to `most` characters, none of
    them a control character."""
    line = " ".join(value.split())
    if not 1 <= len(line) <= most:
        raise _refused(path, f"must have 1 to {most} characters, not {len(line)}", line)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in line):
        raise _refused(path, "must not have control characters", ascii(line))
    return line


def tickers(path: str, values: Sequence[str], most: int) -> tuple[str, ...]:
    """Each trimmed, in upper case and once, in the order given."""
    return _words(path, values, most, _ticker)


def tags(path: str, values: Sequence[str]) -> tuple[str, ...]:
    """Each trimmed, in lower case and once, in the order given."""
    return _words(path, values, MOST_TAGS, _tag)


def web_address(path: str, value: str) -> str:
    """`value` trimmed: what a page may safely link to. Neither a script nor somebody's password
    passes."""
    url = value.strip()
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise Refusal("invalid", f"{path} must not hold a user or a password", path)
    if not 1 <= len(url) <= URL_CHARACTERS:
        message = f"must have 1 to {URL_CHARACTERS} characters, not {len(url)}"
        raise _refused(path, message, url)
    if not _URL.fullmatch(url):
        raise _refused(path, "must have no other characters than URLs have", ascii(url))
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises
    except ValueError as error:
        raise _refused(path, f"is no address ({error})", url) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refused(path, "must be http://… or https://…", url)
    return url


def user(value: str) -> str:
    """The id of a user; what is everybody's is nobody's to keep."""
    if value == EVERYBODY:
        raise _refused("userId", "must be one user", value)
    if not 1 <= len(value) <= USER_CHARACTERS:
        raise _refused("userId", f"must have 1 to {USER_CHARACTERS} characters", value)
    return value


def show(value: object) -> str:
    """`value` for an error message, cut to `SHOWN` characters."""
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def named(*parts: str) -> str:
    """One id made of several texts: 32 hexadecimal digits, the same for the same texts."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _words(
    path: str, values: Sequence[str], most: int, word: Callable[[str, str], str]
) -> tuple[str, ...]:
    if len(values) > most:
        raise Refusal("invalid", f"at most {most} {path}, not {len(values)}", path)
    return tuple(
        dict.fromkeys(word(f"{path}[{index}]", value) for index, value in enumerate(values))
    )


def _ticker(path: str, value: str) -> str:
    ticker = value.strip()
    if not 1 <= len(ticker) <= TICKER_CHARACTERS:
        message = f"must have 1 to {TICKER_CHARACTERS} characters, not {len(ticker)}"
        raise _refused(path, message, ticker)
    if not _TICKER.fullmatch(ticker):
        raise _refused(path, "must be ASCII letters, digits and .-^=/:_&+", ascii(ticker))
    return ticker.upper()


def _tag(path: str, value: str) -> str:
    """In lower case a text can be longer than it was."""
    return one_line(path, value.lower(), TAG_CHARACTERS)


def _refused(path: str, why: str, value: object) -> Refusal:
    return Refusal("invalid", f"{path} {why}: {show(value)!r}", path)
