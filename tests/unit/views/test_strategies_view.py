"""The view of a user's strategies: its contents, their order, and exact checkpoints."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.events import (
    Action,
    Breakout,
    DecisionMade,
    StopLoss,
    StopLossKind,
    Strategy,
    StrategyCompleted,
    StrategyCreated,
    StrategyEvent,
    StrategyStarted,
    StrategyStatus,
)
from tapewire.views import StrategiesView, View
from tapewire.views.strategies import MAX_COMPLETED_STRATEGIES

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def strategy(number: int, status: StrategyStatus = StrategyStatus.CREATED) -> Strategy:
    return Strategy(
        strategy_id=f"s{number}",
        name="“Größe”",
        symbol="BRK.B",
        rule=Breakout(window=5, margin_percent=Decimal("0.10")),
        quantity=Decimal("1000000.000001"),
        stop_loss=StopLoss(kind=StopLossKind.TRAILING, percent=Decimal("0.5")),
        max_trades=None,
        status=status,
        position=Decimal("-0.1"),
        entry_price=Decimal("512.46"),
        order=None,
        orders=1,
        trades=1,
        message=None,
        timestamp=START,
    )


def created(number: int) -> StrategyEvent:
    return StrategyCreated(strategy=strategy(number), command_id=f"c{number}")


def started(number: int) -> StrategyEvent:
    return StrategyStarted(
        strategy=strategy(number, StrategyStatus.STARTED), command_id=f"s{number}"
    )


def completed(number: int) -> StrategyEvent:
    return StrategyCompleted(
        strategy=strategy(number, StrategyStatus.COMPLETED), command_id=f"x{number}"
    )


def fold(*events: StrategyEvent) -> StrategiesView:
    view = StrategiesView()
    for event in events:
        view.apply(event)
    return view


def strategy_ids(view: StrategiesView) -> list[str]:
    return [one.strategy_id for one in view.strategies()]


def test_the_view_implements_the_port() -> None:
    view: View = StrategiesView()
    assert view.domain == "strategies"


def test_the_strategy_that_changed_last_is_last_with_its_current_state() -> None:
    view = fold(created(1), created(2), started(1))
    assert strategy_ids(view) == ["s2", "s1"]
    assert view.strategies()[-1] == strategy(1, StrategyStatus.STARTED)


def test_old_completed_strategies_are_removed_and_others_kept() -> None:
    many = range(MAX_COMPLETED_STRATEGIES + 50)
    view = fold(*(created(n) for n in many), *(completed(n) for n in many if n != 7), created(9999))
    assert len(view.strategies()) == MAX_COMPLETED_STRATEGIES + 2
    assert strategy_ids(view)[:2] == ["s7", "s50"]
    assert strategy_ids(view)[-1] == "s9999"


def test_other_events_are_ignored() -> None:
    view = fold(created(1))
    view.apply(
        DecisionMade(
            decision_id="d",
            strategy_id="s1",
            symbol="IBM",
            action=Action.HOLD,
            confidence=Decimal(0),
            reasoning="",
            taken=False,
            timestamp=START,
        )
    )
    assert view.strategies() == [strategy(1)]


def test_numbers_are_restored_exactly() -> None:
    data = fold(created(1)).encode()
    assert repr(StrategiesView.decode(data).strategies()[0].quantity) == (
        "Decimal('1000000.000001')"
    )
    decoded = msgspec.json.decode(data)[0]
    assert (decoded["strategyId"], decoded["rule"]["kind"]) == ("s1", "breakout")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([created, started, completed]), st.integers(0, 250))),
    st.data(),
)
def test_a_view_restored_at_any_point_continues_like_the_original(
    made: list[tuple[Callable[[int], StrategyEvent], int]], data: st.DataObject
) -> None:
    events = [completed(n) for n in range(1000, 1000 + MAX_COMPLETED_STRATEGIES)]
    events += [make(number) for make, number in made]
    point = data.draw(st.integers(0, len(events)))
    straight = fold(*events)
    resumed = StrategiesView.decode(fold(*events[:point]).encode())
    for event in events[point:]:
        resumed.apply(event)
    assert resumed.strategies() == straight.strategies()
    assert resumed.encode() == straight.encode()
