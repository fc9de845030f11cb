"""How a strategy decides on commands, by example."""

from decimal import Decimal

import msgspec
import pytest

from tapewire.events import (
    DecisionMade,
    MeanReversion,
    OrderStatus,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    StrategyFailed,
    StrategySignaled,
    StrategyStopped,
    WaitingReason,
)
from tapewire_services.strategies.domain.strategy import (
    STRATEGY_DECIDER,
    CreatedStrategyState,
    derive_strategy_id,
)
from tests.unit.strategies.spec import (
    STRATEGY_ID,
    WIDE_BREAKOUT,
    buy,
    create,
    end_order,
    fail,
    fill,
    given,
    holding_commands,
    make_settings,
    make_stop_loss,
    note_waiting,
    sell,
    start,
    started_commands,
    stop,
    trigger_stop_loss,
    update,
)

STOPPED_AT_1 = make_settings(stop_loss=make_stop_loss("1"))


def test_a_strategy_is_created_started_stopped_and_started_again() -> None:
    given().when(create()).then("Created: created")
    given(create()).when(start()).then("Started: started")
    given(create(), start()).when(stop()).then("Stopped: stopped")
    given(create(), start(), stop()).when(start("again")).then("Started: started")


def test_a_command_without_effect_gives_no_event() -> None:
    given(create(), start()).when(start("again")).then()
    given(create(), start(), stop()).when(stop("again")).then()
    given(create()).when(update(name="mine")).then()


def test_a_repeated_command_gives_no_event() -> None:
    given(create()).when(create()).then()
    given(create(), start(), stop()).when(start()).then()
    given(*started_commands(), buy(), fill("1", "100"), sell(order_count=1)).when(buy()).then()


def test_a_strategy_that_was_never_created_is_not_found() -> None:
    for command in (start(), stop(), update(name="x"), buy(), fill("1", "1"), fail()):
        given().when(command).then_rejected("not_found")


def test_a_strategy_that_is_not_started_cannot_be_stopped() -> None:
    given(create()).when(stop()).then_rejected("conflict", message="not started")
    given(*started_commands(), fail()).when(stop()).then_rejected("conflict", message="in error")


def test_settings_can_be_changed_whether_or_not_the_strategy_is_started() -> None:
    changed = given(*started_commands()).when(update(rule=WIDE_BREAKOUT, quantity=Decimal("5.50")))
    strategy = changed.then("Updated: started").strategy
    assert strategy.rule == WIDE_BREAKOUT
    assert str(strategy.quantity) == "5.5"
    stop = make_stop_loss("2.5")
    strategy = given(create()).when(update(stop_loss=stop)).then("Updated: created").strategy
    assert strategy.stop_loss == stop
    history = given(create(STOPPED_AT_1)).when(update(stop_loss=None)).then("Updated: created")
    assert history.strategy.stop_loss is None


def test_changed_settings_are_validated_like_new_ones() -> None:
    rule = MeanReversion(window=1, deviations=Decimal(2))
    given(create()).when(update(rule=rule)).then_rejected("invalid", "rule.window")
    given(create()).when(update(name="")).then_rejected("invalid", "name")


def test_a_signal_becomes_an_order_and_a_decision() -> None:
    history = given(*started_commands())
    history.when(buy("100.5")).then("Signaled: started, order 1 buy 0/100", "decision buy taken")
    signaled, decision = history.events[-2:]
    assert isinstance(signaled, StrategySignaled)
    assert isinstance(decision, DecisionMade)
    assert signaled.strategy.order is not None
    assert signaled.order_id == signaled.strategy.order.order_id
    assert signaled.strategy.order.client_order_id == f"{STRATEGY_ID}-1"
    assert (signaled.price, signaled.confidence) == (Decimal("100.5"), Decimal("0.7"))
    assert decision.decision_id == signaled.command_id


def test_orders_are_numbered() -> None:
    first = given(*holding_commands())
    first.when(sell(order_count=1)).then(
        "Signaled: started, holds 100@100, order 2 sell 0/100", "decision sell taken"
    )
    assert first.strategy.orders == 2


def test_a_signal_is_not_followed_twice_or_during_an_order() -> None:
    given(*started_commands(), buy()).when(buy("101")).then_rejected(
        "conflict", message="s1-1 is under way"
    )
    given(*holding_commands()).when(buy("101")).then_rejected(
        "conflict", message="100 are held already"
    )
    short = (*started_commands(), sell(), fill("1", "100"))
    given(*short).when(sell("99")).then_rejected("conflict", message="100 short already")


def test_a_command_decided_before_the_latest_order_is_rejected() -> None:
    """Of two runners at once, one bought and its stop-loss sold; the other, which had missed both,
    used to buy again for an outdated reason."""
    sold = (*holding_commands(), sell(order_count=1), fill("2", "100"))
    given(*sold).when(buy("99", order_count=1)).then_rejected(
        "conflict", message="begun 2 orders, the decision knew of 1"
    )
    given(*sold).when(buy("99", order_count=2)).then(
        "Signaled: started, order 3 buy 0/100", "decision buy taken"
    )
    late = trigger_stop_loss(order_count=0)
    given(*holding_commands(STOPPED_AT_1)).when(late).then_rejected(
        "conflict", message="the decision knew of 0"
    )


def test_signals_of_a_strategy_that_is_not_started_are_not_followed() -> None:
    given(create()).when(buy()).then_rejected("conflict", message="created")
    given(*started_commands(), stop()).when(buy()).then_rejected("conflict", message="stopped")
    given(*started_commands(), fail()).when(buy()).then_rejected("conflict", message="error")


def test_fills_change_the_position() -> None:
    history = given(*started_commands(), buy())
    history.when(fill("1", "40", "100")).then(
        "Traded: started by buy 40@100, holds 40@100, order 1 buy 40/100"
    )
    history.when(fill("1", "100", "101")).then("Traded: started by buy 60@101, holds 100@100.6")
    assert (history.strategy.trades, history.strategy.orders) == (1, 1)
    history.decide(sell(order_count=1))
    history.when(fill("2", "100", "105")).then("Traded: started by sell 100@105")
    assert (history.strategy.trades, history.strategy.entry_price) == (2, None)


def test_a_larger_opposite_order_reverses_the_position() -> None:
    short = given(
        *started_commands(), sell(), fill("1", "100", "50"), update(quantity=Decimal(250))
    )
    short.decide(buy(order_count=1))
    short.when(fill("2", "60", "49")).then(
        "Traded: started by buy 60@49, holds -40@50, order 2 buy 60/250"
    )
    short.when(fill("2", "250", "48")).then("Traded: started by buy 190@48, holds 150@48")


def test_a_repeated_or_late_fill_changes_nothing() -> None:
    history = given(*started_commands(), buy(), fill("1", "40"), fill("1", "70"))
    history.when(fill("1", "40")).then()
    again = msgspec.structs.replace(fill("1", "70"), id="under another id")
    history.when(again).then()


def test_fills_of_orders_that_are_not_pending_are_rejected() -> None:
    """A rejection makes a process that knows less than the log read the newest state; the fill may
    belong to an order that has just begun."""
    given(*started_commands()).when(fill("1", "40")).then_rejected(
        "conflict", message="not under way"
    )
    given(*holding_commands()).when(fill("1", "100")).then()
    other = msgspec.structs.replace(fill("1", "100"), id="under another id")
    given(*holding_commands()).when(other).then_rejected("conflict", message="not under way")
    given(*started_commands(), buy()).when(fill("2", "40")).then_rejected("conflict")


def test_a_stopped_strategy_still_records_the_fills_of_its_order() -> None:
    given(*started_commands(), buy(), stop()).when(fill("1", "100")).then(
        "Traded: stopped by buy 100@100, holds 100@100"
    )


def test_the_last_trade_completes_the_strategy() -> None:
    history = given(
        *started_commands(make_settings(max_trades=2)), buy(), fill("1", "50"), fill("1", "100")
    )
    history.decide(sell(order_count=1))
    history.when(fill("2", "30", "101")).then(
        "Traded: started by sell 30@101, holds 70@100, order 2 sell 30/100"
    )
    history.when(fill("2", "100", "101")).then(
        "Traded: started by sell 70@101", "Completed: completed"
    )
    history.when(start("again")).then_rejected("conflict", message="completed")
    history.when(update(name="x")).then_rejected("conflict", message="completed")


def test_after_the_last_trade_the_stop_loss_still_guards_the_position() -> None:
    """Otherwise "buy once, with a stop-loss" would lose its stop-loss by buying."""
    of = make_settings(max_trades=1, stop_loss=make_stop_loss("1"))
    history = given(*holding_commands(of))
    assert history.strategy.status.value == "started"
    history.when(sell()).then_rejected("conflict", message="all 1 trades are done")
    history.decide(trigger_stop_loss())
    history.when(fill("2-sl", "100", "98")).then(
        "Traded: started by sell 100@98", "StopLossExecuted: started", "Completed: completed"
    )


def test_removing_the_stop_loss_after_the_last_trade_completes_the_strategy() -> None:
    of = make_settings(max_trades=1, stop_loss=make_stop_loss("1"))
    given(*holding_commands(of)).when(update(stop_loss=None)).then(
        "Updated: started, holds 100@100", "Completed: completed, holds 100@100"
    )


def test_max_trades_cannot_be_set_below_the_trades_made() -> None:
    given(*holding_commands()).when(update(max_trades=1)).then_rejected("invalid", "maxTrades")
    given(*holding_commands()).when(update(max_trades=2)).then("Updated: started, holds 100@100")


def test_a_stop_loss_closes_exactly_the_position_and_once() -> None:
    history = given(*holding_commands(STOPPED_AT_1, "100"))
    history.when(trigger_stop_loss()).then(
        "StopLossTriggered: started, holds 100@100, order 2-sl sell 0/100"
    )
    triggered = history.events[-1]
    assert isinstance(triggered, StopLossTriggered)
    assert (triggered.trigger_price, triggered.current_price) == (Decimal(99), Decimal(98))
    history.when(trigger_stop_loss(price="97")).then_rejected(
        "conflict", message="being closed already"
    )
    history.when(fill("2-sl", "60", "97")).then(
        "Traded: started by sell 60@97, holds 40@100, order 2-sl sell 60/100"
    )
    history.when(fill("2-sl", "100", "96")).then(
        "Traded: started by sell 40@96", "StopLossExecuted: started"
    )
    executed = history.events[-1]
    assert isinstance(executed, StopLossExecuted)
    assert (executed.trigger_price, executed.current_price) == (Decimal(99), Decimal(96))
    assert executed.order_id == triggered.order_id
    history.when(trigger_stop_loss(price="95")).then_rejected("conflict", message="nothing to sell")


def test_a_stop_loss_buys_back_a_short_position() -> None:
    short = given(*started_commands(STOPPED_AT_1), sell(), fill("1", "100"))
    short.when(trigger_stop_loss(Side.SELL)).then_rejected("conflict")
    short.when(trigger_stop_loss(Side.BUY, "102", "101")).then(
        "StopLossTriggered: started, holds -100@100, order 2-sl buy 0/100"
    )


def test_no_stop_loss_is_triggered_without_a_position_to_guard() -> None:
    given(*started_commands(STOPPED_AT_1)).when(trigger_stop_loss()).then_rejected("conflict")
    given(*holding_commands()).when(trigger_stop_loss()).then_rejected(
        "conflict", message="no stop-loss"
    )


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.FAILED, None])
def test_a_rejected_order_fails_the_strategy(status: OrderStatus | None) -> None:
    history = given(*started_commands(), buy())
    history.when(end_order("1", status, "too dear")).then("Failed: error")
    failed = history.events[-1]
    assert isinstance(failed, StrategyFailed)
    how = "refused" if status is None else status.value
    assert failed.error_code == f"order_{how}"
    assert failed.details == f"order s1-1 was {how}: too dear"
    history.when(start("again")).then("Started: started")


def test_a_canceled_order_stops_the_strategy() -> None:
    history = given(*started_commands(), buy(), fill("1", "40"))
    history.when(end_order("1", OrderStatus.CANCELED, "canceled by the user")).then(
        "Stopped: stopped, holds 40@100"
    )
    stopped = history.events[-1]
    assert isinstance(stopped, StrategyStopped)
    assert stopped.strategy.message == "order s1-1 was canceled: canceled by the user"
    stopped_before = given(*started_commands(), buy(), stop())
    stopped_before.when(end_order("1", OrderStatus.CANCELED)).then("Updated: stopped")


def test_the_end_of_another_order_is_rejected() -> None:
    given(*started_commands(), buy()).when(end_order("7", OrderStatus.REJECTED)).then_rejected(
        "conflict"
    )
    given(*holding_commands()).when(end_order("1", OrderStatus.CANCELED)).then_rejected("conflict")


def test_a_failed_strategy_is_in_error_with_details_until_it_is_started_again() -> None:
    history = given(*started_commands()).when(fail()).then("Failed: error")
    failed = history.events[-1]
    assert isinstance(failed, StrategyFailed)
    assert (failed.error_code, failed.details) == ("rule_failed", "division by zero")
    assert failed.strategy.message == "division by zero"
    history.when(start("again")).then("Started: started")
    given(create()).when(fail()).then_rejected("conflict")


def test_time_never_goes_back() -> None:
    history = given(*started_commands(), buy(), fill("1", "40"))
    late = msgspec.structs.replace(fill("1", "70"), at=create().at)
    history.decide(late)
    assert history.strategy.timestamp == fill("1", "40").at


def test_a_strategys_id_follows_from_its_user_and_the_command() -> None:
    assert derive_strategy_id("alice", "c") == derive_strategy_id("alice", "c")
    assert len({derive_strategy_id(*pair) for pair in (("a", "bc"), ("ab", "c"), ("a", "c"))}) == 3
    assert len(derive_strategy_id("alice", "c")) == 16


def test_the_state_is_the_fold_of_the_stored_events() -> None:
    history = given(
        *holding_commands(STOPPED_AT_1), trigger_stop_loss(), fill("2-sl", "100", "98"), stop()
    )
    again = given()
    for new_event in history.new_events:
        if new_event.subject.domain == "strategies":
            again.state = STRATEGY_DECIDER.evolve(again.state, new_event.event)
    assert isinstance(again.state, CreatedStrategyState)
    assert again.state == history.state


def test_a_strategy_says_once_that_its_order_waits_until_it_is_filled() -> None:
    waiting = given(*started_commands(), buy()).when(note_waiting("1"))
    strategy = waiting.then("Updated: started, order 1 buy 0/100")
    assert strategy.strategy.message == "order s1-1 waits: no_offer"
    strategy.when(note_waiting("1", WaitingReason.CROSSED)).then()
    strategy.decide(fill("1", "40"))
    assert strategy.strategy.message == "order s1-1 waits: no_offer"
    strategy.when(note_waiting("1", WaitingReason.STALE_QUOTE)).then()
    strategy.decide(fill("1", "100"))
    assert strategy.strategy.message == "started by the user"


def test_a_strategy_that_is_stopped_or_has_another_order_says_nothing_of_a_waiting_one() -> None:
    given(*started_commands(), buy(), stop()).when(note_waiting("1")).then()
    given(*holding_commands(), sell(order_count=1)).when(note_waiting("1")).then()
    given(*holding_commands()).when(note_waiting("1")).then()


def test_the_stop_loss_of_a_strategy_says_that_it_waits() -> None:
    stopped_out = given(*holding_commands(STOPPED_AT_1), trigger_stop_loss())
    stopped_out.decide(note_waiting("2-sl", WaitingReason.STALE_QUOTE))
    assert stopped_out.strategy.message == "order s1-2-sl waits: stale_quote"
    stopped_out.decide(end_order("2-sl", OrderStatus.FAILED))
    assert stopped_out.strategy.message == "order s1-2-sl was failed: so"
