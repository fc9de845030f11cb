"""Subjects: `ev.{owner}.{domain}.{entity}` for the journal, and how ids become tokens.

A token is percent-encoded UTF-8 of whatever is not ``[A-Za-z0-9_-]``, so that any user id or
symbol (`BRK.B`) is one token and can hold no wildcard.
"""

import re
from urllib.parse import unquote

import msgspec

EVERYBODY = "_all"
"""The owner of what every user may see."""

MAX_TOKEN_CHARACTERS = 1536
"""Of a token: an id of 128 characters, each of 4 bytes, each encoded. Two such ids in one subject
stay below the 4,096 bytes that NATS lets a control line have; beyond, it ends the connection."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")


class BadSubject(ValueError):
    """A text that is no subject of ours."""


def encode_token(text: str) -> str:
    """`text` as one subject token.

    Raises:
        BadSubject: the text is empty, too long, or no text (half a surrogate pair).
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
    made = "".join(chr(byte) if _PLAIN.match(chr(byte)) else f"%{byte:02X}" for byte in octets)
    if len(made) > MAX_TOKEN_CHARACTERS:
        raise BadSubject(f"{text[:40]!r}… has {len(made)} characters encoded, too many for a token")
    return made


def decode_token(encoded: str) -> str:
    """The text that `token` made `of` from."""
    return unquote(encoded) if "%" in encoded else encoded


class EventSubject(msgspec.Struct, frozen=True):
    """Where one entity's events live. The parts are plain texts, not tokens."""

    owner: str
    domain: str
    entity: str

    def __str__(self) -> str:
        return (
            f"ev.{encode_token(self.owner)}.{encode_token(self.domain)}.{encode_token(self.entity)}"
        )

    @classmethod
    def parse(cls, subject: str) -> "EventSubject":
        """Raises BadSubject when `subject` does not have the four parts."""
        parts = subject.split(".")
        if len(parts) != 4 or parts[0] != "ev":
            raise BadSubject(f"{subject!r} is not ev.OWNER.DOMAIN.ENTITY")
        return cls(decode_token(parts[1]), decode_token(parts[2]), decode_token(parts[3]))


class ValueKey(msgspec.Struct, frozen=True):
    """Where a newest-wins value of a declared type is kept, below ``val.``: plain texts."""

    owner: str
    tag: str
    entity: str

    def __str__(self) -> str:
        return f"{encode_token(self.owner)}.{encode_token(self.tag)}.{encode_token(self.entity)}"

    @classmethod
    def parse(cls, key: str) -> "ValueKey":
        """Raises BadSubject when `key` does not have the three parts."""
        parts = key.split(".")
        if len(parts) != 3:
            raise BadSubject(f"{key!r} is not OWNER.TAG.ENTITY")
        return cls(*map(decode_token, parts))


def pattern(*, owner: str | None = None, domain: str | None = None) -> str:
    """A filter for everything of `owner` and `domain`; None is any."""
    if domain is None:
        return f"ev.{encode_token(owner)}.>" if owner is not None else "ev.>"
    return f"ev.{encode_token(owner) if owner is not None else '*'}.{encode_token(domain)}.>"


def matches(filter_: str, subject: str) -> bool:
    """Whether the NATS `filter_` (``*`` one token, ``>`` the rest) takes `subject`."""
    wanted, given = filter_.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in ("*", given[index]):
            return False
    return len(wanted) == len(given)
