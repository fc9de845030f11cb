"""Later events of an owner are found at any distance, and the server need not search a long log."""

import pytest

from tapewire.log import event_search, view_checkpoints
from tapewire.log.event_search import has_events
from tapewire.views import OrdersView
from tests.harness.publishers import order_placed
from tests.unit.log.test_history import USER, Journal

FILTER = f"ev.{USER}.orders.>"


@pytest.fixture(params=[0, 10, 1000])
async def journal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Three orders, fifty of somebody else, and one more; searched over several distances."""
    monkeypatch.setattr(event_search, "MAX_SEARCH_DISTANCE", request.param)
    journal = Journal()
    await journal.place(3)
    for number in range(50):
        await journal.append("orders", f"b-{number}", order_placed(f"b-{number}"), user="bob")
    await journal.place()
    return journal


@pytest.mark.parametrize(
    ("after", "up_to", "expected"), [(0, 54, True), (3, 54, True), (53, 54, True), (54, 54, False)]
)
async def test_later_events_are_found(
    journal: Journal, after: int, up_to: int, expected: bool
) -> None:
    assert await has_events(journal.log, FILTER, after, up_to) is expected
    assert not await has_events(journal.log, "ev.nobody.orders.>", after, up_to)


async def test_a_view_is_exact_whether_or_not_later_events_follow(journal: Journal) -> None:
    """The search may report an event that is later than the view."""
    bounds = await journal.log.bounds()
    await journal.place(2)
    for owner in (USER, "bob", "nobody"):
        view, as_of = await view_checkpoints.load(
            journal.log, journal.store, OrdersView, owner, bounds=bounds
        )
        assert as_of == bounds
        assert len(view.orders()) == {USER: 4, "bob": 50, "nobody": 0}[owner]


async def test_an_idle_owner_in_a_long_log_is_no_search(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: for somebody who had not traded for a million events, the server read every later
    block, longer than a request may take."""
    monkeypatch.setattr(event_search, "MAX_SEARCH_DISTANCE", 20)

    async def refuse(filter_: str, after: int) -> int:
        raise AssertionError(f"{filter_} was searched from {after}")

    monkeypatch.setattr(journal.log, "next_sequence", refuse)
    assert not await has_events(journal.log, "ev.nobody.orders.>", 3, 54)
    assert await has_events(journal.log, FILTER, 3, 54)
