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

KEPT = 500
"""Notifications that a view still shows."""
OLDER_KEPT = 2000
"""Ids of older unread ones that it still knows."""


class _State(msgspec.Struct, frozen=True):
    notifications: list[Notification]
    older: list[str]
    beyond: int


class NotificationsView:
    """The fold. `NotificationsView()` has seen no event."""

    domain: ClassVar[str] = "notifications"

    def __init__(self) -> None:
        self._shown: dict[str, Notification] = {}
        self._unread: set[str] = set()
        """Of those shown."""
        self._older: dict[str, None] = {}
        self._beyond = 0

    @property
    def unread(self) -> int:
        """Of all that ever were."""
        return len(self._unread) + len(self._older) + self._beyond

    def apply(self, event: Event) -> None:
        """Fold one event of the user's notifications, in the order of the log."""
        if isinstance(event, NotificationCreated):
            self._show(event.notification)
            self._forget()
        elif isinstance(event, NotificationsRead):
            self._read(event.ids)

    def newest(self, limit: int = KEPT) -> list[Notification]:
        """The newest first."""
        return list(islice(reversed(self._shown.values()), limit))

    def unread_of(self, ids: Iterable[str]) -> list[str]:
        """Those of `ids` that reading would change, each once, in the order given."""
        return [id_ for id_ in dict.fromkeys(ids) if id_ in self._unread or id_ in self._older]

    def encode(self) -> bytes:
        return CODEC.encode(_State([*self._shown.values()], [*self._older], self._beyond))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        for notification in state.notifications:
            view._show(notification)
        view._older = dict.fromkeys(state.older)
        view._beyond = state.beyond
        return view

    def _show(self, notification: Notification) -> None:
        self._shown[notification.id] = notification
        if not notification.is_read:
            self._unread.add(notification.id)

    def _forget(self) -> None:
        if len(self._shown) <= KEPT:
            return
        oldest = next(iter(self._shown))
        del self._shown[oldest]
        if oldest in self._unread:
            self._unread.discard(oldest)
            self._older[oldest] = None
        if len(self._older) > OLDER_KEPT:
            del self._older[next(iter(self._older))]
            self._beyond += 1

    def _read(self, ids: tuple[str, ...] | None) -> None:
        if ids is None:
            ids = tuple(self._unread)
            self._older.clear()
            self._beyond = 0
        for id_ in ids:
            self._older.pop(id_, None)
            if id_ in self._unread:
                self._unread.discard(id_)
                self._shown[id_] = msgspec.structs.replace(self._shown[id_], is_read=True)
