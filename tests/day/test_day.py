"""A recorded day ends in the expected state, whichever processes are killed during the day."""

from collections import Counter
from decimal import Decimal

import msgspec
import pytest

from tapewire.events import OrderEvent, OrderFilled, OrderStatus
from tests.day.accounts import find_wrong_accounts
from tests.day.canonical_state import canonical_state, find_differences
from tests.day.conftest import DISTURBED, IS_SHORT, TWO_REPLICAS, UNDISTURBED, WITH_KILLS, DayRuns
from tests.day.manual_trading import RACE_REASON
from tests.day.order_terms import find_wrong_reductions, find_wrong_terms
from tests.day.planted_violations import PLANTED_VIOLATIONS, with_last_repeated, without_last
from tests.day.protection import expected_triggers, find_wrong_exits, recorded_triggers
from tests.day.reference_model import (
    DayRecord,
    find_wrong_executions,
    find_wrong_notifications,
    find_wrong_orders,
    find_wrong_positions,
    find_wrong_strategies,
)
from tests.day.service_processes import SERVICE_OF_LEASE

ALL_RUNS = (UNDISTURBED, *DISTURBED)
MAX_TAKEOVER_SECONDS = 15.0
"""The longest time without a runner of strategies. It is checked in the full form only: the short
form runs on machines of any speed, and only reports the time."""


def _day_record(day_runs: DayRuns, run_name: str) -> DayRecord:
    outcome = day_runs.results[run_name]
    return DayRecord(day_runs.plan, outcome.events, outcome.step_end_sequences)


@pytest.mark.parametrize("run", DISTURBED)
def test_a_disturbed_day_ends_in_the_same_state_as_an_undisturbed_day(
    day_runs: DayRuns, run: str
) -> None:
    undisturbed, other = day_runs.results[UNDISTURBED], day_runs.results[run]
    assert not find_differences(canonical_state(undisturbed.events), canonical_state(other.events))


@pytest.mark.parametrize("run", ALL_RUNS)
def test_every_expected_exit_of_a_strategy_is_triggered_exactly_once(
    day_runs: DayRuns, run: str
) -> None:
    day = _day_record(day_runs, run)
    assert recorded_triggers(day) == expected_triggers(day)
    assert find_wrong_exits(day) == []


@pytest.mark.parametrize("run", ALL_RUNS)
def test_positions_reconcile_with_trades_to_the_cent(day_runs: DayRuns, run: str) -> None:
    assert find_wrong_positions(_day_record(day_runs, run)) == []


@pytest.mark.parametrize("run", ALL_RUNS)
def test_accounts_reconcile_with_trades_to_the_cent(day_runs: DayRuns, run: str) -> None:
    outcome = day_runs.results[run]
    assert len(outcome.accounts) > 1
    prices = {
        symbol: quote.price
        for quotes in day_runs.plan.quotes_by_step
        for symbol, quote in quotes.items()
    }
    assert find_wrong_accounts(outcome.events, outcome.accounts, prices) == []
    user, account = next(iter(outcome.accounts.items()))
    for field in ("cash", "equity", "fees"):
        changed = {field: (getattr(account, field) or 0) + Decimal("0.01")}
        wrong = {user: msgspec.structs.replace(account, **changed)}
        assert find_wrong_accounts(outcome.events, outcome.accounts | wrong, prices)


@pytest.mark.parametrize("run", ALL_RUNS)
def test_a_new_fold_of_the_log_equals_the_stored_checkpoints(day_runs: DayRuns, run: str) -> None:
    outcome = day_runs.results[run]
    assert outcome.verification_differences == []
    assert outcome.verified is not None
    assert (outcome.verified.events, outcome.verified.pending) == (len(outcome.events), {})
    assert outcome.verified.views, "no checkpoint was compared"


@pytest.mark.parametrize("run", ALL_RUNS)
def test_orders_match_their_executions_and_no_liquidity_is_used_twice(
    day_runs: DayRuns, run: str
) -> None:
    day = _day_record(day_runs, run)
    assert find_wrong_orders(day) == []
    assert find_wrong_executions(day) == []


@pytest.mark.parametrize("run", ALL_RUNS)
def test_orders_of_every_type_keep_their_terms(day_runs: DayRuns, run: str) -> None:
    day = _day_record(day_runs, run)
    assert find_wrong_terms(day) == []
    assert find_wrong_reductions(day) == []


@pytest.mark.parametrize("run", ALL_RUNS)
def test_strategies_hold_their_executions_and_each_user_is_notified_once(
    day_runs: DayRuns, run: str
) -> None:
    day = _day_record(day_runs, run)
    assert find_wrong_strategies(day) == []
    assert find_wrong_notifications(day) == []


def test_another_process_takes_over_the_strategies_in_time(day_runs: DayRuns) -> None:
    takeovers = day_runs.results[TWO_REPLICAS].figures.takeover_seconds
    assert takeovers["strategies-runner"]
    assert IS_SHORT or max(takeovers["strategies-runner"]) < MAX_TAKEOVER_SECONDS
    assert set(takeovers) == set(SERVICE_OF_LEASE) - {"notifications"}


def test_the_day_contains_all_kinds_of_events_and_kills(day_runs: DayRuns) -> None:
    """Every kind of event that the tests check occurred, and the planned kills took place."""
    outcome, size = day_runs.results[UNDISTURBED], day_runs.plan.size
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
        "order.triggered.v1": 0.2,
        "order.replaced.v1": 0.2,
        "strategy.take_profit_executed.v1": 0.1,
    }
    assert not {tag: tags[tag] for tag, rate in least.items() if tags[tag] < rate * size.step_count}
    assert tags["strategy.closing.v1"], "no strategy with a position was stopped to close it"
    parts = [
        event.order.order_id
        for event in (recorded.event for recorded in outcome.events)
        if isinstance(event, OrderFilled) and event.order.status is OrderStatus.PARTIALLY_FILLED
    ]
    assert max(Counter(parts).values()) > 1, "no order was filled in several parts"
    assert day_runs.results[WITH_KILLS].figures.kills >= size.kill_count - 2
    assert not [error for one in day_runs.results.values() for error in one.errors]


def test_the_day_contains_orders_of_every_kind_with_every_end(day_runs: DayRuns) -> None:
    """A kind is a type, a time in force or reduce-only."""
    orders = {
        recorded.event.order.order_id: recorded.event.order
        for recorded in day_runs.results[UNDISTURBED].events
        if isinstance(recorded.event, OrderEvent) and recorded.event.order.strategy_id is None
    }
    found = {RACE_REASON for order in orders.values() if order.reason == RACE_REASON}
    for order in orders.values():
        kinds = [order.type.value, order.time_in_force.value]
        kinds += ["reduce_only"] if order.reduce_only else []
        found |= {f"{kind} {order.status.value}" for kind in kinds}
    all_kinds = ("market", "limit", "stop", "stop_limit", "gtc", "day", "ioc", "fok", "reduce_only")
    ends = {f"{kind} {end}" for kind in all_kinds for end in ("filled", "canceled")}
    assert not (ends | {"reduce_only rejected", "limit rejected", RACE_REASON}) - found


@pytest.mark.parametrize("name", PLANTED_VIOLATIONS)
def test_every_planted_violation_is_found(day_runs: DayRuns, name: str) -> None:
    plant, judge = PLANTED_VIOLATIONS[name]
    outcome = day_runs.results[UNDISTURBED]
    assert not judge(DayRecord(day_runs.plan, outcome.events, outcome.step_end_sequences))
    assert judge(DayRecord(day_runs.plan, plant(outcome.events), outcome.step_end_sequences))


@pytest.mark.parametrize(
    "tag", ["order.filled.v1", "decision.made.v1", "alert.raised.v1", "notification.created.v1"]
)
def test_one_missing_or_repeated_event_changes_the_state(day_runs: DayRuns, tag: str) -> None:
    events = day_runs.results[UNDISTURBED].events
    for plant in (without_last(tag), with_last_repeated(tag)):
        assert find_differences(canonical_state(events), canonical_state(plant(events)))
