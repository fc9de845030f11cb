"""Subjects of the journal, `ev.{owner}.{domain}.{entity}`, and the encoding of their tokens.

A token is percent-encoded UTF-8: every character except ``[A-Za-z0-9_-]`` is encoded. Any user id
or symbol (such as `BRK.B`) therefore is one token, and no token contains a wildcard.
"""

import re
from urllib.parse import unquote

import msgspec

EVERYBODY = "_all"
"""The owner of events that every user may see."""

MAX_TOKEN_CHARACTERS = 1536
"""Characters of one token: an id of 128 characters with 4 bytes each, all encoded. Two such ids in
one subject stay below the 4,096 bytes that NATS allows for a control line; a longer line ends the
connection."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")


class BadSubject(ValueError):
    """The text is not a subject or token of the journal."""


def encode_token(text: str) -> str:
    """Encode `text` as one token.

    Raises:
        BadSubject: the text is empty, too long, or has half of a surrogate pair.
    """
    if not text:
        raise BadSubject("an empty text cannot be a subject token")
    if len(text) > MAX_TOKEN_CHARACTERS:
        raise BadSubject(f"{text[:40]!r}… has {len(text)} characters, too many for a token")
    if _PLAIN.match(text):
        return text
    try:
        octets = text.encode()
    except UnicodeEncodeError as error:
        raise BadSubject(f"{text[:40]!r} cannot be a subject token: {error}") from error
    token = "".join(chr(byte) if _PLAIN.match(chr(byte)) else f"%{byte:02X}" for byte in octets)
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise BadSubject(
            f"{text[:40]!r}… has {len(token)} characters encoded, too many for a token"
        )
    return token


def decode_token(encoded: str) -> str:
    """The text that `encode_token` encoded."""
    return unquote(encoded) if "%" in encoded else encoded


class EventSubject(msgspec.Struct, frozen=True):
    """The subject of one entity's events. The parts are plain texts, not tokens."""

    owner: str
    domain: str
    entity: str

    def __str__(self) -> str:
        return (
            f"ev.{encode_token(self.owner)}.{encode_token(self.domain)}.{encode_token(self.entity)}"
        )

    @classmethod
    def parse(cls, subject: str) -> "EventSubject":
        """Parse `subject`. Raises BadSubject unless it has the four parts."""
        parts = subject.split(".")
        if len(parts) != 4 or parts[0] != "ev":
            raise BadSubject(f"{subject!r} is not ev.OWNER.DOMAIN.ENTITY")
        return cls(decode_token(parts[1]), decode_token(parts[2]), decode_token(parts[3]))


class ValueKey(msgspec.Struct, frozen=True):
    """The key of a declared newest-wins value, below ``val.``. The parts are plain texts."""

    owner: str
    tag: str
    entity: str

    def __str__(self) -> str:
        return f"{encode_token(self.owner)}.{encode_token(self.tag)}.{encode_token(self.entity)}"

    @classmethod
    def parse(cls, key: str) -> "ValueKey":
        """Parse `key`. Raises BadSubject unless it has the three parts."""
        parts = key.split(".")
        if len(parts) != 3:
            raise BadSubject(f"{key!r} is not OWNER.TAG.ENTITY")
        return cls(*map(decode_token, parts))


def pattern(*, owner: str | None = None, domain: str | None = None) -> str:
    """The filter for all events of `owner` and `domain`; None matches any."""
    if domain is None:
        return f"ev.{encode_token(owner)}.>" if owner is not None else "ev.>"
    return f"ev.{encode_token(owner) if owner is not None else '*'}.{encode_token(domain)}.>"


def matches(filter_: str, subject: str) -> bool:
    """Whether `subject` matches the NATS `filter_` (``*`` is one token, ``>`` the rest)."""
    wanted, given = filter_.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in ("*", given[index]):
            return False
    return len(wanted) == len(given)
