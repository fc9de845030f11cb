"""The schedule of a drain: when each client gets the announcement and when it is closed."""

import itertools
import random
from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire_services.edge.drain import MAX_NOTICE_SECONDS, DrainAction, DrainSchedule

NOW = 1000.0
T = TypeVar("T")


def departures(crowd: Iterable[T], seconds: float, seed: int = 1) -> DrainSchedule[T]:
    return DrainSchedule(crowd, seconds, NOW, random.Random(seed))


def played(
    of: DrainSchedule[T], present: Callable[[float], Iterable[T]] | None = None
) -> list[tuple[float, T, DrainAction, float]]:
    """Return all actions as (time, client, action, seconds left), in order of time."""
    turns: list[tuple[float, T, DrainAction, float]] = []
    now = NOW
    while True:
        turns += [(now, one, turn, left) for one, turn, left in of.pop_due_actions(now)]
        rest = of.seconds_until_next(now)
        if rest is None:
            return turns
        now += rest
        if present is not None:
            of.update_clients(present(now), now)


@given(
    crowd=st.integers(1, 60), seconds=st.floats(0.1, 120), seed=st.integers(0, 1 << 32)
)  # fmt: skip
def test_each_client_gets_one_announcement_and_is_closed_after_the_notice(
    crowd: int, seconds: float, seed: int
) -> None:
    of = departures(range(crowd), seconds, seed)

    turns = played(of)

    announced = {one: at for at, one, turn, _ in turns if turn is DrainAction.ANNOUNCE}
    closed = {one: at for at, one, turn, _ in turns if turn is DrainAction.CLOSE}
    assert len(turns) == 2 * crowd
    assert announced.keys() == closed.keys() == set(range(crowd))
    for one, at in announced.items():
        assert closed[one] - at == pytest.approx(of.notice_seconds)
        assert at >= NOW
        assert closed[one] <= NOW + seconds + 1e-6
    assert all(
        left == pytest.approx(of.notice_seconds)
        for _, _, turn, left in turns
        if turn is DrainAction.ANNOUNCE
    )


def test_announcements_are_spread_evenly_in_random_order() -> None:
    of = departures(range(100), 20.0)
    announcements = [(at, one) for at, one, turn, _ in played(of) if turn is DrainAction.ANNOUNCE]

    thirds = [
        sum(NOW + 5 * n <= at < NOW + 5 * (n + 1) for at, _ in announcements) for n in range(3)
    ]
    assert thirds == pytest.approx([33, 33, 33], abs=1)
    assert [one for _, one in announcements] != list(range(100)), (
        "clients are announced in the order of their arrival"
    )
    gaps = {round(b - a, 6) for (a, _), (b, _) in itertools.pairwise(announcements)}
    assert len(gaps) > 50, "the announcements have equal distances"


@pytest.mark.parametrize(("seconds", "notice"), [(60, MAX_NOTICE_SECONDS), (20, 5), (3, 1.5)])
def test_the_notice_is_the_maximum_or_half_of_the_drain(seconds: int, notice: float) -> None:
    assert departures(["a"], float(seconds)).notice_seconds == notice


def test_a_drain_of_zero_seconds_closes_all_clients_without_announcements() -> None:
    turns = played(departures(["a", "b"], 0.0))
    assert sorted((at, one, turn) for at, one, turn, _ in turns) == [
        (NOW, "a", DrainAction.CLOSE),
        (NOW, "b", DrainAction.CLOSE),
    ]


def test_a_client_that_left_has_no_further_actions() -> None:
    of = departures(["a", "b"], 10.0)
    turns = played(of, present=lambda now: {"b"} if now > NOW else {"a", "b"})
    assert [(one, turn) for _, one, turn, _ in turns if one == "b"] == [
        ("b", DrainAction.ANNOUNCE),
        ("b", DrainAction.CLOSE),
    ]
    assert ("a", DrainAction.CLOSE) not in {(one, turn) for _, one, turn, _ in turns}


def test_a_late_client_is_announced_at_once_and_closed_by_the_end() -> None:
    of = departures(list[str](), 10.0)
    of.update_clients(["early"], NOW + 1)
    assert [*of.pop_due_actions(NOW + 1)] == [("early", DrainAction.ANNOUNCE, 5.0)]
    of.update_clients(["early", "late"], NOW + 8)
    announced = {client: left for client, action, left in of.pop_due_actions(NOW + 8)}
    assert announced["late"] == pytest.approx(2.0)
    of.update_clients(["early", "late", "last"], NOW + 11)
    assert ("last", DrainAction.CLOSE, 0.0) in [*of.pop_due_actions(NOW + 11)]
    assert [turn for _, turn, _ in of.pop_due_actions(NOW + 12)] == []
