"""How a strategy closes its position, by example: the stop-loss protects in every state.

Each of the first tests tells of a position that used to lose its stop-loss.
"""

from decimal import Decimal

import pytest

from tapewire.events import (
    ExitReason,
    OrderStatus,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
    StrategyFailed,
    StrategyPositionAdjusted,
    StrategyStatus,
)
from tapewire.runtime.contracts.orders import CANCELED_BY_USER
from tapewire.runtime.contracts.strategies import StopPosition
from tapewire_services.strategies.domain.commands import Command
from tapewire_services.strategies.domain.exits import (
    MAX_RETRY_SECONDS,
    order_to_cancel,
    retry_delay_seconds,
)
from tests.unit.strategies.spec import (
    StrategyHistory,
    buy,
    continue_exit,
    create,
    delete,
    end_order,
    fail,
    fill,
    given,
    holding_commands,
    late_fill,
    make_settings,
    make_stop_loss,
    sell,
    start,
    started_commands,
    stop,
    trigger_stop_loss,
    update,
)

GUARDED = make_settings(stop_loss=make_stop_loss("1"))
ENTRY_HALF_FILLED = (*started_commands(GUARDED), buy(), fill("1", "40"))


def canceled_order_of(strategy: Strategy) -> str | None:
    """The name of the order that the worker cancels now."""
    order = order_to_cancel(strategy)
    return None if order is None else order.client_order_id


def test_an_entry_that_is_half_filled_is_canceled_and_then_closed() -> None:
    history = given(*ENTRY_HALF_FILLED)
    assert canceled_order_of(history.strategy) is None
    history.when(trigger_stop_loss()).then(
        "StopLossTriggered: started, holds 40@100, order 1 buy 40/100"
    )
    assert canceled_order_of(history.strategy) == "s1-1"
    history.when(end_order("1", OrderStatus.CANCELED)).then(
        "Stopped: stopped, holds 40@100",
        "Closing: stopped, holds 40@100, order 2-sl sell 0/40",
    )
    assert canceled_order_of(history.strategy) is None
    history.when(fill("2-sl", "40", "98")).then(
        "Traded: stopped by sell 40@98", "StopLossExecuted: stopped"
    )
    triggered = next(one for one in history.events if isinstance(one, StopLossTriggered))
    assert history.strategy.exit is None
    executed = history.events[-1]
    assert isinstance(executed, StopLossExecuted)
    assert triggered.order_id == executed.order_id, "it was named in advance"


def test_an_entry_that_fills_while_it_is_being_canceled_is_closed_whole() -> None:
    history = given(*ENTRY_HALF_FILLED, trigger_stop_loss())
    history.when(fill("1", "70", "97")).then(
        "Traded: started by buy 30@97, holds 70@98.71428571, order 1 buy 70/100"
    )
    history.when(fill("1", "100", "97")).then(
        "Traded: started by buy 30@97, holds 100@98.2",
        "Closing: started, holds 100@98.2, order 2-sl sell 0/100",
    )


def test_an_order_that_closes_the_position_by_itself_ends_the_exit() -> None:
    history = given(
        *holding_commands(GUARDED), sell(order_count=1), trigger_stop_loss(order_count=2)
    )
    assert canceled_order_of(history.strategy) == "s1-2"
    history.when(fill("2", "100", "98")).then("Traded: started by sell 100@98")
    assert history.strategy.exit is None
    assert history.strategy.orders == 2


def test_an_order_that_reverses_the_position_ends_the_exit() -> None:
    commands = (*holding_commands(GUARDED), update(quantity=Decimal(150)), sell(order_count=1))
    history = given(*commands, trigger_stop_loss(order_count=2), fill("2", "120", "98"))
    history.when(end_order("2", OrderStatus.CANCELED)).then("Updated: started, holds -20@98")
    assert history.strategy.exit is None


@pytest.mark.parametrize(
    "last",
    [
        end_order("1", OrderStatus.CANCELED, CANCELED_BY_USER),
        end_order("1", OrderStatus.REJECTED),
        end_order("1", OrderStatus.FAILED),
        end_order("1", None),
    ],
    ids=["canceled", "rejected", "failed", "refused"],
)
def test_what_an_entry_bought_before_its_end_is_guarded(last: Command) -> None:
    history = given(*ENTRY_HALF_FILLED, last)
    assert history.strategy.status in (StrategyStatus.STOPPED, StrategyStatus.ERROR)
    assert history.strategy.guards_position
    history.decide(trigger_stop_loss())
    history.decide(fill("2-sl", "40", "98"))
    assert history.strategy.position == 0


@pytest.mark.parametrize(
    "last",
    [stop(), fail(), end_order("2", OrderStatus.REJECTED)],
    ids=["stopped", "failed", "a later order rejected"],
)
def test_a_position_is_guarded_in_every_state(last: Command) -> None:
    later_order = (sell(order_count=1),) if last.id.startswith("2") else ()
    history = given(*holding_commands(GUARDED), *later_order, last)
    history.decide(trigger_stop_loss(order_count=history.strategy.orders))
    order = history.strategy.order
    assert order is not None
    assert (order.side, order.closes) == (Side.SELL, ExitReason.STOP_LOSS)
    assert order.qty == 100


def test_a_position_is_left_alone_only_when_its_user_says_so() -> None:
    history = given(*holding_commands(GUARDED))
    history.when(stop(position=StopPosition.LEAVE)).then("Stopped: stopped, holds 100@100")
    assert not history.strategy.guards_position
    history.when(trigger_stop_loss()).then_rejected("conflict", message="not protected")
    history.when(stop("again", StopPosition.LEAVE)).then()
    history.decide(stop("guard it", StopPosition.PROTECT))
    assert history.strategy.guards_position


@pytest.mark.parametrize("again", [start("again"), update(stop_loss=make_stop_loss("3"))])
def test_starting_or_setting_a_stop_loss_protects_again(again: Command) -> None:
    history = given(*holding_commands(GUARDED), stop(position=StopPosition.LEAVE))
    history.decide(again)
    assert history.strategy.guards_position


def test_leaving_the_position_alone_cancels_the_closing_order() -> None:
    history = given(*holding_commands(GUARDED), trigger_stop_loss())
    history.decide(stop(position=StopPosition.LEAVE))
    assert canceled_order_of(history.strategy) == "s1-2-sl"
    history.when(end_order("2-sl", OrderStatus.CANCELED)).then("Updated: stopped, holds 100@100")
    assert (history.strategy.exit, history.strategy.has_protection) == (None, False)


def test_stop_and_flatten_closes_the_position() -> None:
    history = given(*holding_commands())
    history.when(stop(position=StopPosition.CLOSE)).then(
        "Stopped: stopped, holds 100@100",
        "Closing: stopped, holds 100@100, order 2-x sell 0/100",
    )
    history.when(fill("2-x", "100", "99")).then("Traded: stopped by sell 100@99")
    assert history.strategy.exit is None
    history.when(stop("again", StopPosition.CLOSE)).then()


def test_stop_and_flatten_cancels_an_entry_first() -> None:
    history = given(*started_commands(), buy())
    history.when(stop(position=StopPosition.CLOSE)).then("Stopped: stopped, order 1 buy 0/100")
    assert canceled_order_of(history.strategy) == "s1-1"
    flat = given(*started_commands(), buy(), stop(position=StopPosition.CLOSE))
    flat.when(end_order("1", OrderStatus.CANCELED)).then("Updated: stopped")
    assert flat.strategy.exit is None
    history.decide(fill("1", "30"))
    history.when(end_order("1", OrderStatus.CANCELED)).then(
        "Closing: stopped, holds 30@100, order 2-x sell 0/30"
    )


@pytest.mark.parametrize("before", [(stop("first"),), (fail(),)], ids=["stopped", "in error"])
def test_a_strategy_that_does_not_run_can_be_flattened(before: tuple[Command, ...]) -> None:
    history = given(*holding_commands(), *before)
    history.when(stop(position=StopPosition.CLOSE)).then(
        "Stopped: stopped, holds 100@100",
        "Closing: stopped, holds 100@100, order 2-x sell 0/100",
    )


def test_shares_that_were_sold_elsewhere_are_not_sold_again() -> None:
    history = given(*holding_commands(GUARDED), trigger_stop_loss(), fill("2-sl", "30", "98"))
    history.when(
        end_order("2-sl", OrderStatus.CANCELED, "nothing to reduce", is_position_gone=True)
    ).then("PositionAdjusted: started")
    adjusted = history.events[-1]
    assert isinstance(adjusted, StrategyPositionAdjusted)
    assert adjusted.position_before == 70
    assert "nothing more to close" in (history.strategy.message or "")
    assert (history.strategy.exit, history.strategy.entry_price) == (None, None)
    history.when(buy("99", order_count=2)).then(
        "Signaled: started, order 3 buy 0/100", "decision buy taken"
    )
    history.when(fill("3", "100", "50")).then("Traded: started by buy 100@50, holds 100@50")


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.FAILED, None])
def test_a_closing_order_that_fails_is_followed_by_another(status: OrderStatus | None) -> None:
    history = given(*holding_commands(GUARDED), trigger_stop_loss(), fill("2-sl", "10", "98"))
    history.when(end_order("2-sl", status)).then("Failed: error, holds 90@100")
    failed = history.events[-1]
    assert isinstance(failed, StrategyFailed)
    assert failed.error_code == "stop_loss_not_executed"
    assert history.strategy.exit is not None
    assert history.strategy.exit.attempts == 1
    history.when(continue_exit(2)).then("Closing: error, holds 90@100, order 3-sl sell 0/90")
    history.when(continue_exit(3)).then_rejected("conflict", message="under way")
    history.when(fill("3-sl", "90", "97")).then(
        "Traded: error by sell 90@97", "StopLossExecuted: error"
    )


def test_the_delay_between_closing_orders_doubles_up_to_a_minute() -> None:
    assert [retry_delay_seconds(attempts) for attempts in range(5)] == [0, 1, 2, 4, 8]
    assert retry_delay_seconds(1000) == MAX_RETRY_SECONDS


def test_who_cancels_the_closing_order_switches_the_protection_off_and_is_told() -> None:
    history = given(*holding_commands(GUARDED), trigger_stop_loss())
    history.when(end_order("2-sl", OrderStatus.CANCELED, CANCELED_BY_USER)).then(
        "Failed: error, holds 100@100"
    )
    assert "not protected any more" in (history.strategy.message or "")
    assert (history.strategy.exit, history.strategy.guards_position) == (None, False)


def test_an_execution_that_is_reported_late_counts_and_is_guarded() -> None:
    history = given(*ENTRY_HALF_FILLED, end_order("1", OrderStatus.CANCELED, CANCELED_BY_USER))
    history.when(late_fill("1", "25", price="101")).then(
        "Traded: stopped by buy 25@101, holds 65@100.38461538"
    )
    history.when(late_fill("1", "25", price="101")).then()
    assert history.strategy.guards_position


def test_a_late_execution_during_an_exit_is_closed_as_well() -> None:
    history = given(*ENTRY_HALF_FILLED, trigger_stop_loss())
    history.decide(end_order("1", OrderStatus.CANCELED))
    history.when(late_fill("1", "10")).then(
        "Traded: stopped by buy 10@100, holds 50@100, order 2-sl sell 0/40"
    )
    history.when(fill("2-sl", "40", "98")).then(
        "Traded: stopped by sell 40@98, holds 10@100",
        "StopLossExecuted: stopped, holds 10@100",
        "Closing: stopped, holds 10@100, order 3-sl sell 0/10",
    )


def test_no_signal_is_followed_while_the_position_is_closed() -> None:
    history = given(*ENTRY_HALF_FILLED, trigger_stop_loss())
    history.when(sell(order_count=1)).then_rejected("conflict", message="being closed")


def test_a_take_profit_closes_the_position_on_either_side() -> None:
    of = make_settings(take_profit="2")
    long = given(*holding_commands(of))
    long.when(trigger_stop_loss()).then_rejected("conflict", message="no stop-loss")
    sell_high = trigger_stop_loss(price="103", trigger_price="102", reason=ExitReason.TAKE_PROFIT)
    long.when(sell_high).then("TakeProfitTriggered: started, holds 100@100, order 2-tp sell 0/100")
    long.when(fill("2-tp", "100", "103")).then(
        "Traded: started by sell 100@103", "TakeProfitExecuted: started"
    )
    short = given(*started_commands(of), sell(), fill("1", "100"))
    cover = trigger_stop_loss(Side.BUY, "97", "98", reason=ExitReason.TAKE_PROFIT)
    short.when(cover).then("TakeProfitTriggered: started, holds -100@100, order 2-tp buy 0/100")


def test_after_its_last_trade_a_strategy_is_completed_by_its_take_profit() -> None:
    of = make_settings(max_trades=1, take_profit="2")
    history = given(*holding_commands(of))
    assert history.strategy.status is StrategyStatus.STARTED
    history.decide(
        trigger_stop_loss(price="103", trigger_price="102", reason=ExitReason.TAKE_PROFIT)
    )
    history.when(fill("2-tp", "100", "103")).then(
        "Traded: started by sell 100@103", "TakeProfitExecuted: started", "Completed: completed"
    )


def test_a_strategy_is_deleted_once_nothing_of_it_is_left() -> None:
    given(*started_commands()).when(delete()).then_rejected("conflict", message="stop it first")
    held = (*holding_commands(GUARDED), stop())
    given(*held).when(delete()).then_rejected("conflict", "position", message="holds 100")
    entered = (*started_commands(), buy(), stop())
    given(*entered).when(delete()).then_rejected("conflict", message="under way")
    left: StrategyHistory = given(*holding_commands(), stop(position=StopPosition.LEAVE))
    left.when(delete()).then("Deleted: deleted, holds 100@100")
    left.when(start("again")).then_rejected("not_found")
    left.when(delete()).then()
    given(create()).when(delete()).then("Deleted: deleted")
