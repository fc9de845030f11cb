"""A recorded day ends in one state, whoever dies in it, and that state is the right one."""

from collections import Counter

import pytest

from tapewire.events import OrderStatus
from tests.day.conftest import DISTURBED, IS_SHORT, KILLED, REPLICAS, UNDISTURBED, Days
from tests.day.house import LEASES
from tests.day.plants import PLANTS, missing, twice
from tests.day.reference import (
    Day,
    wrong_executions,
    wrong_notices,
    wrong_orders,
    wrong_positions,
    wrong_strategies,
)
from tests.day.state import differences, state
from tests.day.stops import fired, should_fire, wrong_executed

ALL = (UNDISTURBED, *DISTURBED)
TAKEOVER_SECONDS = 15.0
"""The longest that strategies may go without a runner, on a machine that can be relied on: the
short form runs on whichever there is, and tells how long it took."""


def _day(days: Days, run: str) -> Day:
    outcome = days.outcomes[run]
    return Day(days.plan, outcome.events, outcome.ends)


@pytest.mark.parametrize("run", DISTURBED)
def test_the_day_ends_in_the_state_of_the_undisturbed_one(days: Days, run: str) -> None:
    undisturbed, other = days.outcomes[UNDISTURBED], days.outcomes[run]
    assert not differences(state(undisturbed.events), state(other.events))


@pytest.mark.parametrize("run", ALL)
def test_every_stop_loss_that_should_fire_did_and_none_twice(days: Days, run: str) -> None:
    day = _day(days, run)
    assert fired(day) == should_fire(day)
    assert wrong_executed(day) == []


@pytest.mark.parametrize("run", ALL)
def test_positions_reconcile_with_trades_to_the_cent(days: Days, run: str) -> None:
    outcome = days.outcomes[run]
    assert wrong_positions(_day(days, run)) == []
    reconciled = outcome.reconciled
    assert reconciled is not None
    assert (reconciled.differing, reconciled.pending, reconciled.unusable) == (0, 0, 0)


@pytest.mark.parametrize("run", ALL)
def test_the_log_folds_to_the_same_state_from_scratch(days: Days, run: str) -> None:
    outcome = days.outcomes[run]
    assert outcome.differing == []
    assert outcome.verified is not None
    assert (outcome.verified.events, outcome.verified.pending) == (len(outcome.events), {})
    assert outcome.verified.views, "no checkpoint was compared"


@pytest.mark.parametrize("run", ALL)
def test_orders_are_what_was_executed_and_no_offer_was_taken_twice(days: Days, run: str) -> None:
    day = _day(days, run)
    assert wrong_orders(day) == []
    assert wrong_executions(day) == []


@pytest.mark.parametrize("run", ALL)
def test_strategies_hold_what_was_executed_and_everybody_is_told_once(days: Days, run: str) -> None:
    day = _day(days, run)
    assert wrong_strategies(day) == []
    assert wrong_notices(day) == []


def test_strategies_are_taken_over_in_time(days: Days) -> None:
    takeovers = days.outcomes[REPLICAS].figures.takeovers
    assert takeovers["strategies-runner"]
    assert IS_SHORT or max(takeovers["strategies-runner"]) < TAKEOVER_SECONDS
    assert set(takeovers) == set(LEASES) - {"notifications"}


def test_the_day_was_one(days: Days) -> None:
    """Everything that the promises are about happened, and everybody who should die did."""
    outcome, size = days.outcomes[UNDISTURBED], days.plan.size
    tags = Counter(recorded.tag for recorded in outcome.events)
    least = {
        "order.placed.v1": 5,
        "trade.executed.v1": 4,
        "strategy.stop_loss_executed.v1": 0.5,
        "decision.made.v1": 10,
        "alert.raised.v1": 5,
        "notification.created.v1": 10,
        "position.closed.v1": 1,
        "order.canceled.v1": 0.5,
        "order.rejected.v1": 0.1,
    }
    assert not {tag: tags[tag] for tag, rate in least.items() if tags[tag] < rate * size.steps}
    parts = [
        recorded.event.order.order_id  # type: ignore[attr-defined]
        for recorded in outcome.events
        if recorded.tag == "order.filled.v1"
        and recorded.event.order.status is OrderStatus.PARTIALLY_FILLED  # type: ignore[attr-defined]
    ]
    assert max(Counter(parts).values()) > 1, "no order was filled in several parts"
    assert days.outcomes[KILLED].figures.kills >= size.kills - 2
    assert not [error for one in days.outcomes.values() for error in one.errors]


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_is_found(days: Days, name: str) -> None:
    plant, judge = PLANTS[name]
    outcome = days.outcomes[UNDISTURBED]
    assert not judge(Day(days.plan, outcome.events, outcome.ends))
    assert judge(Day(days.plan, plant(outcome.events), outcome.ends))


@pytest.mark.parametrize(
    "tag", ["order.filled.v1", "decision.made.v1", "alert.raised.v1", "notification.created.v1"]
)
def test_states_differ_by_a_single_event(days: Days, tag: str) -> None:
    events = days.outcomes[UNDISTURBED].events
    for plant in (missing(tag), twice(tag)):
        assert differences(state(events), state(plant(events)))
