"""A notification: it is created once, under an id made of what caused it. `NOTIFICATIONS` is the
decider; `checked` judges what other programs send.

The bounds are in bytes of JSON, so that the newest five hundred of a user, at their largest, still
are one checkpoint (1 MiB).
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tapewire.decimals import abbreviate
from tapewire.events import CODEC, Event, Notification, NotificationCreated
from tapewire.log import EVERYBODY, CommandRejected, Decider, EventSubject, NewEvent, derive_id
from tapewire_services.alerts.domain.message_types import NotificationContent

MAX_TITLE_BYTES = 120
MAX_MESSAGE_BYTES = 500
MAX_PAYLOAD_BYTES = 1024
"""Bytes of UTF-8 JSON."""
MAX_PAYLOAD_DEPTH = 16
"""Objects and lists within each other in a payload: whoever reads it may recurse."""
MAX_USERS_PER_REQUEST = 100
"""Users that one request notifies."""
MAX_USER_ID_CHARACTERS = 128
TYPE_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,31}")


class CreateNotificationCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Tell `user`. The id of the command names the cause, and is no other user's."""

    id: str
    user: str
    content: NotificationContent


class AbsentNotificationState(msgspec.Struct, frozen=True):
    """No event yet."""


class CreatedNotificationState(msgspec.Struct, frozen=True):
    """The notification is there."""


State = AbsentNotificationState | CreatedNotificationState


def derive_notification_id(command: CreateNotificationCommand) -> str:
    """32 hexadecimal digits."""
    return derive_id("notification", command.user, command.id)


def notification_subject(command: CreateNotificationCommand) -> EventSubject:
    """Where the notification lives."""
    return EventSubject(command.user, "notifications", derive_notification_id(command))


def decide(state: State, command: CreateNotificationCommand) -> Sequence[NewEvent]:
    """Nothing when it is there already. What is too large is cut, never refused: of an event that
    happened, its user is told."""
    if isinstance(state, CreatedNotificationState):
        return []
    notice = command.content
    notification = Notification(
        id=derive_notification_id(command),
        type=notice.type,
        title=truncate_to_json_bytes(notice.title, MAX_TITLE_BYTES),
        message=truncate_to_json_bytes(notice.message, MAX_MESSAGE_BYTES),
        payload=notice.payload if _json_byte_count(notice.payload) <= MAX_PAYLOAD_BYTES else {},
        is_read=False,
        created_at=notice.at,
    )
    event = NotificationCreated(notification=notification, command_id=command.id)
    return [NewEvent(notification_subject(command), event)]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the notification's own subject."""
    return CreatedNotificationState() if isinstance(event, NotificationCreated) else state


NOTIFICATION_DECIDER: Decider[State, CreateNotificationCommand] = Decider(
    initial_state=AbsentNotificationState(), decide=decide, evolve=evolve
)


def validate_content(content: NotificationContent) -> NotificationContent:
    """`notice`, as another program sends it. Raises Refusal: invalid, with the field's path."""
    if not TYPE_PATTERN.fullmatch(content.type):
        wanted = "must be a word of at most 32 of a-z, 0-9 and _, a letter first"
        raise CommandRejected("invalid", f"type {wanted}, not {abbreviate(content.type)!r}", "type")
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
    """Each of `users` once. Raises Refusal: invalid, with the path of the one at fault."""
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
    """`text`, cut so that it has at most `most` bytes of JSON."""
    if _json_byte_count(text) <= max_bytes:
        return text
    short = text[:max_bytes]
    while _json_byte_count(short) > max_bytes - 3:
        short = short[:-1]
    return f"{short}…"


def _validate_json_size(path: str, value: Any, max_bytes: int) -> None:
    size = _json_byte_count(value)
    if size > max_bytes:
        raise CommandRejected(
            "invalid", f"{path} has {size} bytes as JSON, at most {max_bytes}", path
        )


def _is_nested_deeper_than(value: Any, max_depth: int) -> bool:
    """Whether `value` has more than `deeper` levels of objects and lists."""
    if not isinstance(value, dict | list):
        return False
    within_it = value.values() if isinstance(value, dict) else value
    return max_depth == 0 or any(_is_nested_deeper_than(one, max_depth - 1) for one in within_it)


def _json_byte_count(value: Any) -> int:
    """Bytes of JSON, without the quotes of a text."""
    return len(CODEC.encode(value)) - (2 if isinstance(value, str) else 0)
