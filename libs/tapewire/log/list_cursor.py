"""Cursors of paged lists: where the next page begins.

A cursor is opaque to clients. It names its list and what the page before ended with: the number of
an entry, which is valid in one incarnation of the log, or a key that the list is sorted by. Entries
that are added later do not move it, and every process reads it alike.
"""

import base64
import binascii
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import msgspec

from tapewire.log.rejection import CommandRejected

MAX_PAGE_ROWS = 1000
"""Rows of one page."""
MAX_CURSOR_CHARACTERS = 512
CURSOR_IDS = 8
"""Ids in a cursor of rows that may be deleted."""

R = TypeVar("R")


def check_limit(limit: int, maximum: int = MAX_PAGE_ROWS) -> None:
    """Raises CommandRejected unless `limit` is 1 to `maximum`."""
    if not 1 <= limit <= maximum:
        message = f"limit must be 1 to {maximum}, not {limit}"
        raise CommandRejected("invalid", message, "limit")


def encode_number(list_name: str, epoch: str, number: int) -> str:
    """The cursor of the entries before entry `number` of the log named `epoch`."""
    return _encode([list_name, epoch, number])


def decode_number(
    cursor: str, list_name: str, epochs: Collection[str], *, maximum: int | None = None
) -> int:
    """The number in a cursor of `encode_number`, at most `maximum`, of a log that has one of
    `epochs`. Raises CommandRejected."""
    found_epoch: str
    number: int
    found_epoch, number = _decode(cursor, list_name, tuple[str, str, int])
    if found_epoch not in epochs:
        message = "cursor is of a journal that was replaced: read the list from its first page"
        raise CommandRejected("invalid", message, "cursor")
    if number < 0 or (maximum is not None and number > maximum):
        raise _malformed(list_name)
    return number


def encode_key(list_name: str, *key: str) -> str:
    """The cursor of the entries that are sorted after `key`."""
    return _encode([list_name, *key])


def decode_key(cursor: str, list_name: str) -> tuple[str, ...]:
    """The key in a cursor of `encode_key`. Raises CommandRejected."""
    key: tuple[str, ...] = _decode(cursor, list_name, tuple[str, ...])
    if not key:
        raise _malformed(list_name)
    return key


def page_by_key(
    rows: Sequence[R],
    key_of: Callable[[R], str],
    limit: int,
    cursor: str | None,
    list_name: str,
    *,
    maximum: int = MAX_PAGE_ROWS,
) -> tuple[list[R], str | None]:
    """A page of `rows`, which are sorted by `key_of`, and the cursor of the next page.

    Raises CommandRejected.
    """
    check_limit(limit, maximum)
    if cursor is not None:
        after = decode_key(cursor, list_name)[-1]
        rows = [row for row in rows if key_of(row) > after]
    page = list(rows[:limit])
    following = encode_key(list_name, key_of(page[-1])) if len(rows) > limit else None
    return page, following


def page_by_id(
    rows: Sequence[R],
    id_of: Callable[[R], str],
    limit: int,
    cursor: str | None,
    list_name: str,
) -> tuple[list[R], str | None]:
    """A page of `rows`, to which others are only added at the end, and the cursor of the next page.

    The cursor names several rows, because a row may be deleted before the next page is read.
    Raises CommandRejected.
    """
    check_limit(limit)
    start = 0
    if cursor is not None:
        numbers = {id_of(row): number for number, row in enumerate(rows)}
        known = [numbers[id_] for id_ in decode_key(cursor, list_name) if id_ in numbers]
        if not known:
            message = f"the {list_name} before cursor were deleted: read the first page again"
            raise CommandRejected("invalid", message, "cursor")
        start = max(known) + 1
    end = start + limit
    shown_ids = [id_of(row) for row in rows[max(0, end - CURSOR_IDS) : end]]
    following = encode_key(list_name, *shown_ids) if len(rows) > end else None
    return list(rows[start:end]), following


def _encode(parts: list[str | int]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def _decode(cursor: str, list_name: str, kind: Any) -> tuple[Any, ...]:
    """The parts after the list's name."""
    if len(cursor) > MAX_CURSOR_CHARACTERS:
        raise _malformed(list_name)
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, *parts = msgspec.json.decode(data, type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise _malformed(list_name) from None
    if name != list_name:
        raise _malformed(list_name)
    return tuple(parts)


def _malformed(list_name: str) -> CommandRejected:
    message = f"cursor is the `next` of an earlier page of {list_name}"
    return CommandRejected("invalid", message, "cursor")
