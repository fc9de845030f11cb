"""A notification, which is created once, under an id that follows from its cause. Pure.

`NOTIFICATION_DECIDER` is the decider; `validate_content` checks what other programs send. The sizes
are limited in bytes of JSON, so a user's newest five hundred notifications fit one checkpoint
(1 MiB) even at their largest.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tapewire.decimals import abbreviate
from tapewire.events import CODEC, Event, Notification, NotificationCreated
from tapewire.log import EVERYBODY, CommandRejected, Decider, EventSubject, NewEvent, derive_id

MAX_TITLE_BYTES = 120
MAX_MESSAGE_BYTES = 500
MAX_PAYLOAD_BYTES = 1024
"""Bytes of UTF-8 JSON."""
MAX_PAYLOAD_DEPTH = 16
"""Nesting of objects and lists in a payload; readers may be recursive."""
MAX_USERS_PER_REQUEST = 100
"""Users that one request may notify."""
MAX_USER_ID_CHARACTERS = 128
MAX_TEXT_CHARACTERS = 300
"""Characters of a foreign text, such as a reason or a name, within a message."""
TYPE_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,31}")


class NotificationContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is notified of; `at` is when it happened."""

    type: str
    title: str
    message: str
    payload: dict[str, Any]
    at: datetime


class CreateNotificationCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Notify `user`. The id of the command identifies the cause and differs for every user."""

    id: str
    user: str
    content: NotificationContent


class AbsentNotificationState(msgspec.Struct, frozen=True):
    """There is no event yet."""


class CreatedNotificationState(msgspec.Struct, frozen=True):
    """The notification exists."""


State = AbsentNotificationState | CreatedNotificationState


def derive_notification_id(command: CreateNotificationCommand) -> str:
    """The id of the notification: 32 hexadecimal digits."""
    return derive_id("notification", command.user, command.id)


def notification_subject(command: CreateNotificationCommand) -> EventSubject:
    """The subject of the notification's events."""
    return EventSubject(command.user, "notifications", derive_notification_id(command))


def decide(state: State, command: CreateNotificationCommand) -> Sequence[NewEvent]:
    """The notification, or nothing when it exists already. A content that is too large is cut and
    not rejected, because its user must be notified of an event that has happened."""
    if isinstance(state, CreatedNotificationState):
        return []
    content = command.content
    notification = Notification(
        id=derive_notification_id(command),
        type=content.type,
        title=truncate_to_json_bytes(content.title, MAX_TITLE_BYTES),
        message=truncate_to_json_bytes(content.message, MAX_MESSAGE_BYTES),
        payload=content.payload if _json_byte_count(content.payload) <= MAX_PAYLOAD_BYTES else {},
        is_read=False,
        created_at=content.at,
    )
    event = NotificationCreated(notification=notification, command_id=command.id)
    return [NewEvent(notification_subject(command), event)]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the notification's subject."""
    return CreatedNotificationState() if isinstance(event, NotificationCreated) else state


NOTIFICATION_DECIDER: Decider[State, CreateNotificationCommand] = Decider(
    initial_state=AbsentNotificationState(), decide=decide, evolve=evolve
)


def validate_content(content: NotificationContent) -> NotificationContent:
    """Return `content` from another program. Raises CommandRejected: ``invalid``, with the path of
    the field at fault."""
    if not TYPE_PATTERN.fullmatch(content.type):
        rule = "must be a word of at most 32 of a-z, 0-9 and _, a letter first"
        raise CommandRejected("invalid", f"type {rule}, not {abbreviate(content.type)!r}", "type")
    if not content.title.strip():
        raise CommandRejected("invalid", "title must not be empty", "title")
    _validate_json_size("title", content.title, MAX_TITLE_BYTES)
    _validate_json_size("message", content.message, MAX_MESSAGE_BYTES)
    if _is_nested_deeper_than(content.payload, MAX_PAYLOAD_DEPTH):
        raise CommandRejected(
            "invalid", f"payload is nested more than {MAX_PAYLOAD_DEPTH} deep", "payload"
        )
    _validate_json_size("payload", content.payload, MAX_PAYLOAD_BYTES)
    return content


def validate_user_ids(user_ids: Sequence[str]) -> list[str]:
    """Return each of `user_ids` once. Raises CommandRejected: ``invalid``, with the path of the one
    at fault."""
    if not 1 <= len(user_ids) <= MAX_USERS_PER_REQUEST:
        message = f"userIds must name 1 to {MAX_USERS_PER_REQUEST} users, not {len(user_ids)}"
        raise CommandRejected("invalid", message, "userIds")
    for number, user in enumerate(user_ids):
        if not 1 <= len(user) <= MAX_USER_ID_CHARACTERS or user == EVERYBODY:
            message = (
                f"a user id has 1 to {MAX_USER_ID_CHARACTERS} characters and is not {EVERYBODY}"
            )
            raise CommandRejected("invalid", message, f"userIds[{number}]")
    return list(dict.fromkeys(user_ids))


def truncate_to_json_bytes(text: str, max_bytes: int) -> str:
    """`text`, cut to at most `max_bytes` bytes of JSON."""
    if _json_byte_count(text) <= max_bytes:
        return text
    short = text[:max_bytes]
    while _json_byte_count(short) > max_bytes - 3:
        short = short[:-1]
    return f"{short}…"


def truncate_line(text: str) -> str:
    """`text` on one line, cut to `MAX_TEXT_CHARACTERS`."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT_CHARACTERS else f"{line[:MAX_TEXT_CHARACTERS]}…"


def _validate_json_size(path: str, value: Any, max_bytes: int) -> None:
    size = _json_byte_count(value)
    if size > max_bytes:
        raise CommandRejected(
            "invalid", f"{path} has {size} bytes as JSON, at most {max_bytes}", path
        )


def _is_nested_deeper_than(value: Any, max_depth: int) -> bool:
    """Whether `value` has more than `max_depth` levels of objects and lists."""
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return max_depth == 0 or any(_is_nested_deeper_than(one, max_depth - 1) for one in children)


def _json_byte_count(value: Any) -> int:
    """The size as JSON in bytes, without the quotes of a text."""
    return len(CODEC.encode(value)) - (2 if isinstance(value, str) else 0)
