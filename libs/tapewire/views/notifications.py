"""A user's newest notifications, and the exact number of unread ones.

The view shows the newest `MAX_NOTIFICATIONS`. Of older ones it retains only the ids of unread ones,
up to `MAX_OLDER_UNREAD_IDS`, so each can still be marked as read. Beyond that it retains only a
number, which only reading all notifications resets. The count is therefore exact and the view
bounded.
"""

from collections.abc import Iterable
from itertools import islice
from typing import ClassVar, Self

import msgspec

from tapewire.events import CODEC, Event, Notification, NotificationCreated, NotificationsRead

MAX_NOTIFICATIONS = 500
"""Notifications that the view shows."""
MAX_OLDER_UNREAD_IDS = 2000
"""Ids of older unread notifications that the view retains."""


class _State(msgspec.Struct, frozen=True):
    notifications: list[Notification]
    older: list[str]
    beyond: int


class NotificationsView:
    """The notifications of one user."""

    domain: ClassVar[str] = "notifications"

    def __init__(self) -> None:
        self._recent: dict[str, Notification] = {}
        self._recent_unread_ids: set[str] = set()
        """Unread ones among those shown."""
        self._older_unread_ids: dict[str, None] = {}
        self._older_unread_overflow = 0

    @property
    def unread_count(self) -> int:
        """The unread notifications of all that were ever created."""
        return (
            len(self._recent_unread_ids) + len(self._older_unread_ids) + self._older_unread_overflow
        )

    def apply(self, event: Event) -> None:
        """Apply one event of the user's notifications."""
        if isinstance(event, NotificationCreated):
            self._add(event.notification)
            self._evict_oldest()
        elif isinstance(event, NotificationsRead):
            self._mark_read(event.ids)

    def newest(self, limit: int = MAX_NOTIFICATIONS) -> list[Notification]:
        """The newest notifications, the newest first."""
        return list(islice(reversed(self._recent.values()), limit))

    def filter_unread(self, ids: Iterable[str]) -> list[str]:
        """The ids in `ids` that reading would change, each once, in the given order."""
        return [
            id_
            for id_ in dict.fromkeys(ids)
            if id_ in self._recent_unread_ids or id_ in self._older_unread_ids
        ]

    def encode(self) -> bytes:
        return CODEC.encode(
            _State([*self._recent.values()], [*self._older_unread_ids], self._older_unread_overflow)
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        for notification in state.notifications:
            view._add(notification)
        view._older_unread_ids = dict.fromkeys(state.older)
        view._older_unread_overflow = state.beyond
        return view

    def _add(self, notification: Notification) -> None:
        self._recent[notification.id] = notification
        if not notification.is_read:
            self._recent_unread_ids.add(notification.id)

    def _evict_oldest(self) -> None:
        if len(self._recent) <= MAX_NOTIFICATIONS:
            return
        oldest = next(iter(self._recent))
        del self._recent[oldest]
        if oldest in self._recent_unread_ids:
            self._recent_unread_ids.discard(oldest)
            self._older_unread_ids[oldest] = None
        if len(self._older_unread_ids) > MAX_OLDER_UNREAD_IDS:
            del self._older_unread_ids[next(iter(self._older_unread_ids))]
            self._older_unread_overflow += 1

    def _mark_read(self, ids: tuple[str, ...] | None) -> None:
        if ids is None:
            ids = tuple(self._recent_unread_ids)
            self._older_unread_ids.clear()
            self._older_unread_overflow = 0
        for id_ in ids:
            self._older_unread_ids.pop(id_, None)
            if id_ in self._recent_unread_ids:
                self._recent_unread_ids.discard(id_)
                self._recent[id_] = msgspec.structs.replace(self._recent[id_], is_read=True)
