"""A user's notifications: the newest ones, and how many there are that nobody has read.

The newest `KEPT` are shown. Of older ones only the unread count: by their ids, so that one can
still be read by itself, and beyond `OLDER_KEPT` of those by number alone, which only reading all
brings down. So the count is exact, and the view bounded, whatever a user leaves unread.
"""

from collections.abc import Iterable
from itertools import islice
from typing import ClassVar, Self

import msgspec

from tapewire.events import CODEC, Event, Notification, NotificationCreated, NotificationsRead

MAX_NOTIFICATIONS = 500
"""Notifications that a view still shows."""
MAX_OLDER_UNREAD_IDS = 2000
"""Ids of older unread ones that it still knows."""


class _State(msgspec.Struct, frozen=True):
    notifications: list[Notification]
    older: list[str]
    beyond: int


class NotificationsView:
    """The fold. `NotificationsView()` has seen no event."""

    domain: ClassVar[str] = "notifications"

    def __init__(self) -> None:
        self._recent: dict[str, Notification] = {}
        self._recent_unread_ids: set[str] = set()
        """Of those shown."""
        self._older_unread_ids: dict[str, None] = {}
        self._older_unread_overflow = 0

    @property
    def unread_count(self) -> int:
        """Of all that ever were."""
        return (
            len(self._recent_unread_ids) + len(self._older_unread_ids) + self._older_unread_overflow
        )

    def apply(self, event: Event) -> None:
        """Fold one event of the user's notifications, in the order of the log."""
        if isinstance(event, NotificationCreated):
            self._add(event.notification)
            self._evict_oldest()
        elif isinstance(event, NotificationsRead):
            self._mark_read(event.ids)

    def newest(self, limit: int = MAX_NOTIFICATIONS) -> list[Notification]:
        """The newest first."""
        return list(islice(reversed(self._recent.values()), limit))

    def filter_unread(self, ids: Iterable[str]) -> list[str]:
        """Those of `ids` that reading would change, each once, in the order given."""
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
