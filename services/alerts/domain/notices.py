"""A notification: it is created once, under an id made of what caused it. `NOTIFICATIONS` is the
decider; `checked` judges what other programs send.

The bounds are in bytes of JSON, so that the newest five hundred of a user, at their largest, still
are one checkpoint (1 MiB).
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from services.alerts.domain.figures import named, show
from services.alerts.domain.telling import Notice
from tapewire.events import CODEC, Event, Notification, NotificationCreated
from tapewire.log import EVERYBODY, Decider, Happening, Refusal, Subject

MAX_TITLE = 120
MAX_MESSAGE = 500
MAX_PAYLOAD = 1024
"""Bytes of UTF-8 JSON."""
MAX_DEPTH = 16
"""Objects and lists within each other in a payload: whoever reads it may recurse."""
MAX_USERS = 100
"""Users that one request notifies."""
USER_CHARACTERS = 128
TYPE = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Notify(msgspec.Struct, frozen=True, kw_only=True):
    """Tell `user`. The id of the command names the cause, and is no other user's."""

    id: str
    user: str
    notice: Notice


class Untold(msgspec.Struct, frozen=True):
    """No event yet."""


class Told(msgspec.Struct, frozen=True):
    """The notification is there."""


State = Untold | Told


def notification_id(command: Notify) -> str:
    """32 hexadecimal digits."""
    return named("notification", command.user, command.id)


def subject(command: Notify) -> Subject:
    """Where the notification lives."""
    return Subject(command.user, "notifications", notification_id(command))


def decide(state: State, command: Notify) -> Sequence[Happening]:
    """Nothing when it is there already. What is too large is cut, never refused: of an event that
    happened, its user is told."""
    if isinstance(state, Told):
        return []
    notice = command.notice
    notification = Notification(
        id=notification_id(command),
        type=notice.type,
        title=within(notice.title, MAX_TITLE),
        message=within(notice.message, MAX_MESSAGE),
        payload=notice.payload if _size(notice.payload) <= MAX_PAYLOAD else {},
        is_read=False,
        created_at=notice.at,
    )
    event = NotificationCreated(notification=notification, command_id=command.id)
    return [Happening(subject(command), event)]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the notification's own subject."""
    return Told() if isinstance(event, NotificationCreated) else state


NOTIFICATIONS: Decider[State, Notify] = Decider(initial=Untold(), decide=decide, evolve=evolve)


def checked(notice: Notice) -> Notice:
    """`notice`, as another program sends it. Raises Refusal: invalid, with the field's path."""
    if not TYPE.fullmatch(notice.type):
        wanted = "must be a word of at most 32 of a-z, 0-9 and _, a letter first"
        raise Refusal("invalid", f"type {wanted}, not {show(notice.type)!r}", "type")
    if not notice.title.strip():
        raise Refusal("invalid", "title must not be empty", "title")
    _bounded("title", notice.title, MAX_TITLE)
    _bounded("message", notice.message, MAX_MESSAGE)
    if _nested(notice.payload, MAX_DEPTH):
        raise Refusal("invalid", f"payload is nested more than {MAX_DEPTH} deep", "payload")
    _bounded("payload", notice.payload, MAX_PAYLOAD)
    return notice


def receivers(users: Sequence[str]) -> list[str]:
    """Each of `users` once. Raises Refusal: invalid, with the path of the one at fault."""
    if not 1 <= len(users) <= MAX_USERS:
        message = f"userIds must name 1 to {MAX_USERS} users, not {len(users)}"
        raise Refusal("invalid", message, "userIds")
    for number, user in enumerate(users):
        if not 1 <= len(user) <= USER_CHARACTERS or user == EVERYBODY:
            message = f"a user id has 1 to {USER_CHARACTERS} characters and is not {EVERYBODY}"
            raise Refusal("invalid", message, f"userIds[{number}]")
    return list(dict.fromkeys(users))


def within(text: str, most: int) -> str:
    """`text`, cut so that it has at most `most` bytes of JSON."""
    if _size(text) <= most:
        return text
    short = text[:most]
    while _size(short) > most - 3:
        short = short[:-1]
    return f"{short}…"


def _bounded(path: str, value: Any, most: int) -> None:
    size = _size(value)
    if size > most:
        raise Refusal("invalid", f"{path} has {size} bytes as JSON, at most {most}", path)


def _nested(value: Any, deeper: int) -> bool:
    """Whether `value` has more than `deeper` levels of objects and lists."""
    if not isinstance(value, dict | list):
        return False
    within_it = value.values() if isinstance(value, dict) else value
    return deeper == 0 or any(_nested(one, deeper - 1) for one in within_it)


def _size(value: Any) -> int:
    """Bytes of JSON, without the quotes of a text."""
    return len(CODEC.encode(value)) - (2 if isinstance(value, str) else 0)
