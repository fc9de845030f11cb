"""Corrected and busted executions of a strategy's orders: its protection guards what it holds."""

import random
from decimal import Decimal

import pytest

from tapewire.events import ExecutionTerms, OrderStatus, Side, StrategyPositionAdjusted
from tapewire.runtime.contracts.orders import CANCELED_BY_USER, order_id
from tapewire_services.strategies.domain.commands import CorrectFillCommand
from tapewire_services.strategies.domain.exits import order_to_cancel
from tapewire_services.strategies.domain.holding import MAX_RECENT_TRADES, Holding
from tests.unit.strategies.spec import (
    STRATEGY_ID,
    USER,
    buy,
    command_fields,
    continue_exit,
    end_order,
    fill,
    given,
    holding_commands,
    make_settings,
    make_stop_loss,
    sell,
    started_commands,
    trigger_stop_loss,
)

PROTECTED = make_settings(stop_loss=make_stop_loss("1"))


def correct(
    order_suffix: str,
    filled_to: str,
    before: str,
    after: str,
    side: Side = Side.BUY,
    *,
    is_closed: bool = True,
) -> CorrectFillCommand:
    """The fill of order `order_suffix` up to `filled_to` counts as `after` (``qty@price``)."""
    return CorrectFillCommand(
        **command_fields(f"correct {order_suffix} {before} {after}", 9),
        order_id=order_id(USER, f"{STRATEGY_ID}-{order_suffix}"),
        trade_id=f"t{order_suffix}/{filled_to}",
        side=side,
        before=terms(before),
        after=terms(after),
        is_order_closed=is_closed,
    )


def terms(text: str) -> ExecutionTerms:
    qty, _, price = text.partition("@")
    return ExecutionTerms(qty=Decimal(qty), price=Decimal(price), fee=Decimal(0))


def test_a_busted_entry_is_not_guarded_any_more() -> None:
    strategy = given(*holding_commands(PROTECTED))
    strategy.when(correct("1", "100", "100@100", "0@100")).then("PositionAdjusted: started")
    assert not strategy.strategy.guards_position
    [adjusted] = [one for one in strategy.events if isinstance(one, StrategyPositionAdjusted)]
    assert (adjusted.position_before, adjusted.trade_id) == (Decimal(100), "t1/100")
    assert adjusted.reason == "the execution of buying 100 at 100 was busted"
    strategy.when(trigger_stop_loss()).then_rejected("conflict")


def test_a_part_that_is_busted_leaves_the_rest_at_its_own_price() -> None:
    strategy = given(*started_commands(PROTECTED), buy(), fill("1", "40"), fill("1", "100", "110"))
    strategy.when(correct("1", "40", "40@100", "0@100")).then(
        "PositionAdjusted: started, holds 60@110"
    )
    strategy.when(trigger_stop_loss(price="108.9", trigger_price="108.9")).then(
        "StopLossTriggered: started, holds 60@110, order 2-sl sell 0/60"
    )


def test_a_corrected_price_moves_the_entry_price_and_the_stop_with_it() -> None:
    strategy = given(*holding_commands(PROTECTED))
    strategy.when(correct("1", "100", "100@100", "100@98")).then(
        "PositionAdjusted: started, holds 100@98"
    )


def test_a_busted_exit_is_guarded_again_also_after_the_last_trade() -> None:
    settings = make_settings(stop_loss=make_stop_loss("1"), max_trades=2)
    strategy = given(*holding_commands(settings), trigger_stop_loss(), fill("2-sl", "100", "98"))
    assert strategy.strategy.status.value == "completed"
    strategy.when(correct("2-sl", "100", "100@98", "0@98", Side.SELL)).then(
        "PositionAdjusted: stopped, holds 100@100"
    )
    assert strategy.strategy.guards_position
    strategy.when(trigger_stop_loss(price="97", order_count=2)).then(
        "StopLossTriggered: stopped, holds 100@100, order 3-sl sell 0/100"
    )
    strategy.when(fill("3-sl", "100", "97")).then(
        "Traded: stopped by sell 100@97",
        "StopLossExecuted: stopped",
        "Completed: completed",
    )


def test_a_pending_order_counts_what_is_really_filled() -> None:
    strategy = given(*started_commands(PROTECTED), buy(), fill("1", "60"))
    strategy.when(correct("1", "60", "60@100", "20@100", is_closed=False)).then(
        "PositionAdjusted: started, holds 20@100, order 1 buy 20/100"
    )
    strategy.when(fill("1", "100", "100")).then("Traded: started by buy 80@100, holds 100@100")


def test_a_closing_order_for_more_than_is_held_is_replaced_by_one_for_what_is_held() -> None:
    strategy = given(*holding_commands(PROTECTED), trigger_stop_loss())
    assert order_to_cancel(strategy.strategy) is None
    strategy.when(correct("1", "100", "100@100", "70@100")).then(
        "PositionAdjusted: started, holds 70@100, order 2-sl sell 0/100"
    )
    assert order_to_cancel(strategy.strategy) == strategy.strategy.order
    strategy.when(end_order("2-sl", OrderStatus.CANCELED, CANCELED_BY_USER)).then(
        "Updated: started, holds 70@100", "Closing: started, holds 70@100, order 3-sl sell 0/70"
    )


def test_a_correction_after_a_flip_never_closes_on_the_other_side() -> None:
    strategy = given(*holding_commands(PROTECTED), sell(order_count=1), fill("2", "100", "105"))
    strategy.when(correct("1", "100", "100@100", "0@100")).then(
        "PositionAdjusted: started, holds -100@105"
    )
    strategy.when(trigger_stop_loss(Side.SELL, order_count=2)).then_rejected("conflict")
    strategy.when(trigger_stop_loss(Side.BUY, price="107", order_count=2)).then(
        "StopLossTriggered: started, holds -100@105, order 3-sl buy 0/100"
    )


def test_a_corrected_price_of_a_closed_position_counts_in_a_later_correction() -> None:
    strategy = given(*holding_commands(PROTECTED), sell(order_count=1), fill("2", "100", "105"))
    strategy.when(correct("2", "100", "100@105", "100@104", Side.SELL)).then(
        "PositionAdjusted: started"
    )
    strategy.when(correct("1", "100", "100@100", "0@100")).then(
        "PositionAdjusted: started, holds -100@104"
    )


def test_an_old_trade_that_is_not_remembered_keeps_the_entry_price() -> None:
    strategy = given(*started_commands(PROTECTED), buy())
    for number in range(1, MAX_RECENT_TRADES + 10):
        strategy.decide(fill("1", str(number), str(100 + number % 2)))
    before = strategy.strategy
    strategy.decide(correct("1", "1", "1@101", "0@101", is_closed=False))
    after = strategy.strategy
    assert after.position == before.position - 1
    assert after.entry_price == before.entry_price


def test_a_correction_is_applied_once() -> None:
    strategy = given(*holding_commands(PROTECTED))
    command = correct("1", "100", "100@100", "40@100")
    strategy.decide(command)
    strategy.when(command).then()
    strategy.when(continue_exit(1)).then_rejected("conflict")


@pytest.mark.parametrize("seed", range(40))
def test_the_holding_is_what_the_corrected_trades_make_of_it(seed: int) -> None:
    rng = random.Random(seed)
    strategy = given(*started_commands(make_settings(quantity="100")))
    counting: dict[str, tuple[Side, str, str]] = {}
    side, number = Side.BUY, 0
    for _ in range(12):
        if rng.random() < 0.6 or not counting:
            action = buy if side is Side.BUY else sell
            if strategy.strategy.position and (strategy.strategy.position > 0) == (
                side is Side.BUY
            ):
                side = Side.SELL if side is Side.BUY else Side.BUY
                continue
            number += 1
            price = str(rng.randrange(95, 105))
            strategy.decide(action(order_count=number - 1, price=f"{price}.{number}"))
            strategy.decide(fill(str(number), "100", price))
            counting[str(number)] = (side, "100", price)
        else:
            key = rng.choice([*counting])
            its_side, qty, price = counting[key]
            now = (str(rng.choice([0, 30, 120])), str(rng.randrange(95, 105)))
            if qty == "0":
                continue
            strategy.decide(correct(key, "100", f"{qty}@{price}", "@".join(now), its_side))
            counting[key] = (its_side, *now)
    held = Holding()
    for its_side, qty, price in counting.values():
        if qty != "0":
            held = held.after_trade(its_side, Decimal(qty), Decimal(price))
    assert strategy.strategy.position == held.quantity
    if held.entry_price is not None and strategy.strategy.entry_price is not None:
        assert abs(strategy.strategy.entry_price - held.entry_price) < Decimal("0.000001")
