"""The view of a user's notifications, compared with a simple model that keeps everything."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tapewire.events import Event, Notification, NotificationCreated, NotificationsRead
from tapewire.views import NotificationsView
from tapewire.views import notifications as viewing
from tapewire.views.notifications import MAX_NOTIFICATIONS, MAX_OLDER_UNREAD_IDS

START = datetime(2026, 3, 2, tzinfo=UTC)


def created(number: int, payload: dict[str, Any] | None = None) -> NotificationCreated:
    notification = Notification(
        id=f"n{number}",
        type="message",
        title=f"title {number}",
        message="",
        payload=payload or {},
        is_read=False,
        created_at=START,
    )
    return NotificationCreated(notification=notification, command_id=f"c{number}")


def read(*numbers: int) -> NotificationsRead:
    ids = tuple(f"n{number}" for number in numbers)
    return NotificationsRead(ids=ids, timestamp=START, command_id="r")


READ_ALL = NotificationsRead(ids=None, timestamp=START, command_id="r")


class NaiveNotifications:
    """A model that keeps everything."""

    def __init__(self) -> None:
        self.all: list[Notification] = []

    def apply(self, event: Event) -> None:
        if isinstance(event, NotificationCreated):
            self.all.insert(0, event.notification)
        elif isinstance(event, NotificationsRead):
            self.all = [
                replace(one, is_read=one.is_read or event.ids is None or one.id in event.ids)
                for one in self.all
            ]

    @property
    def unread(self) -> int:
        return sum(not one.is_read for one in self.all)


def fold(*events: Event) -> NotificationsView:
    view = NotificationsView()
    for event in events:
        view.apply(event)
    return view


def test_the_newest_notification_is_first_and_unread_ones_are_counted() -> None:
    view = fold(created(1), created(2), created(3), read(2))
    assert [one.id for one in view.newest(2)] == ["n3", "n2"]
    assert [one.is_read for one in view.newest()] == [False, True, False]
    assert view.unread_count == 2


def test_reading_all_marks_only_earlier_notifications() -> None:
    view = fold(created(1), created(2), READ_ALL, created(3))
    assert view.unread_count == 1
    assert [one.is_read for one in view.newest()] == [False, True, True]


def test_filter_unread_returns_the_unread_ids() -> None:
    view = fold(created(1), created(2), read(1))
    assert view.filter_unread(["n2", "n1", "n2", "foreign"]) == ["n2"]


def test_the_unread_count_is_exact_beyond_the_listed_notifications() -> None:
    view = fold(*[created(number) for number in range(MAX_NOTIFICATIONS + 100)])
    assert (len(view.newest()), view.unread_count) == (MAX_NOTIFICATIONS, MAX_NOTIFICATIONS + 100)
    view.apply(read(0, MAX_NOTIFICATIONS + 99, MAX_NOTIFICATIONS + 99))
    assert view.unread_count == MAX_NOTIFICATIONS + 98


def test_the_size_of_the_view_is_limited_for_unread_notifications() -> None:
    many = MAX_NOTIFICATIONS + MAX_OLDER_UNREAD_IDS + 50
    view = fold(*[created(number) for number in range(many)])
    assert view.unread_count == many
    view.apply(read(3))  # only counted: only reading all can mark it as read
    assert view.unread_count == many
    view = NotificationsView.decode(view.encode())
    assert view.unread_count == many
    view.apply(READ_ALL)
    assert view.unread_count == 0


def test_numbers_in_payloads_are_kept_exactly() -> None:
    view = fold(created(1, {"price": Decimal("10.50"), "deep": [{"n": 1}]}))
    again = NotificationsView.decode(view.encode())
    assert b'"payload":{"price":10.50,"deep":[{"n":1}]}' in again.encode()


def test_the_largest_possible_view_fits_into_one_message() -> None:
    """The view has 500 notifications of maximum size, and the maximum number of older ids."""
    wide = [
        replace(
            created(number).notification,
            id=f"{number:032x}",
            type="x" * 32,
            title="t" * 120,
            message="m" * 500,
            payload={"p": "y" * 1016},
        )
        for number in range(MAX_NOTIFICATIONS + MAX_OLDER_UNREAD_IDS)
    ]
    view = fold(*[NotificationCreated(notification=one, command_id="c") for one in wide])
    assert len(view.encode()) < 1_040_000


EVENTS = st.lists(
    st.one_of(
        st.just("create"),
        st.just("all"),
        st.lists(st.integers(0, 40), max_size=4).map(tuple),
    ),
    max_size=60,
)


def play(steps: list[Any], restarts: frozenset[int] = frozenset()) -> None:
    """Compare after every step. The view is encoded and decoded after the steps in `restarts`."""
    view, naive, number = NotificationsView(), NaiveNotifications(), 0
    for step, what in enumerate(steps):
        event: Event = READ_ALL
        if what == "create":
            number += 1
            event = created(number)
        elif what != "all":
            event = read(*what)
        view.apply(event)
        naive.apply(event)
        if step in restarts:
            view = NotificationsView.decode(view.encode())
        check(view, naive)


def check(view: NotificationsView, naive: NaiveNotifications) -> None:
    assert view.unread_count == naive.unread
    assert view.newest() == naive.all[: viewing.MAX_NOTIFICATIONS]
    ids = [one.id for one in naive.all if not one.is_read]
    assert view.filter_unread(ids) == ids


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.frozensets(st.integers(0, 60)))
def test_the_view_agrees_with_a_model_that_keeps_everything(
    steps: list[Any], restarts: frozenset[int]
) -> None:
    with patch.object(viewing, "MAX_NOTIFICATIONS", 3):
        play(steps, restarts)


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_beyond_its_limits_the_unread_count_is_never_too_small(steps: list[Any]) -> None:
    with (
        patch.object(viewing, "MAX_NOTIFICATIONS", 2),
        patch.object(viewing, "MAX_OLDER_UNREAD_IDS", 2),
    ):
        view, naive, number = NotificationsView(), NaiveNotifications(), 0
        for what in steps:
            number += what == "create"
            event = created(number) if what == "create" else READ_ALL
            if what not in ("create", "all"):
                event = read(*what)
            view.apply(event)
            naive.apply(event)
            assert view.unread_count >= naive.unread
            if what == "all":
                assert view.unread_count == 0


def forgets_older(view: NotificationsView) -> None:
    if len(view._recent) > viewing.MAX_NOTIFICATIONS:
        oldest = next(iter(view._recent))
        del view._recent[oldest]
        view._recent_unread_ids.discard(oldest)


def counts_twice(view: NotificationsView, ids: tuple[str, ...] | None) -> None:
    for id_ in view._recent if ids is None else ids:
        view._older_unread_overflow -= 1
        view._recent[id_] = replace(view._recent[id_], is_read=True)


def reads_all_shown_only(view: NotificationsView, ids: tuple[str, ...] | None) -> None:
    _read(view, tuple(view._recent_unread_ids) if ids is None else ids)


_read = NotificationsView._mark_read


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("_evict_oldest", forgets_older),
        ("_mark_read", counts_twice),
        ("_mark_read", reads_all_shown_only),
    ],
)
def test_every_broken_view_is_found(name: str, broken: Any) -> None:
    steps: list[Any] = [*["create"] * 6, (1,), (6, 6), (5,), "all", "create", "all", (7,)]
    play(steps)
    with (
        patch.object(viewing, "MAX_NOTIFICATIONS", 3),
        patch.object(NotificationsView, name, broken),
        pytest.raises((AssertionError, KeyError)),
    ):
        play(steps)
