"""What a trade makes of a position."""

from decimal import Decimal

import pytest

from tapewire.events import CATALOGUE, CODEC, PositionEvent, Side, TradeExecuted
from tapewire.log import CommandRejected, EventSubject
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    UntradedState,
    build_trade_command,
)
from tests.harness.position_builders import START, buy, given, sell, trade


def test_the_first_trade_opens_a_position() -> None:
    given().when_traded(buy("10", "100")).then("opened: 10 @ 100")
    given().when_traded(sell("10", "100")).then("opened: -10 @ 100")


def test_adding_averages_the_entry_price_and_realizes_nothing() -> None:
    given(buy("10", "100")).when_traded(buy("30", "104")).then("changed: 40 @ 103")
    given(sell("10", "100")).when_traded(sell("30", "104")).then("changed: -40 @ 103")


def test_reducing_keeps_the_entry_price_and_realizes_a_part() -> None:
    given(buy("10", "100")).when_traded(sell("4", "105")).then("changed: 6 @ 100, realized 20")
    given(sell("10", "100")).when_traded(buy("4", "105")).then("changed: -6 @ 100, realized -20")


def test_selling_all_closes_the_position() -> None:
    given(buy("10", "100")).when_traded(sell("10", "105")).then(
        "closed: nothing, realized 50 (by this 50)"
    )
    given(sell("10", "100")).when_traded(buy("10", "105")).then(
        "closed: nothing, realized -50 (by this -50)"
    )


def test_a_trade_through_zero_closes_and_opens_on_the_other_side() -> None:
    given(buy("10", "100")).when_traded(sell("15", "105")).then(
        "closed: nothing, realized 50 (by this 50)",
        "opened: -5 @ 105, realized 50",
    )
    given(sell("10", "100")).when_traded(buy("15", "105")).then(
        "closed: nothing, realized -50 (by this -50)",
        "opened: 5 @ 105, realized -50",
    )


def test_a_reopened_position_keeps_its_realized_gain() -> None:
    given(buy("10", "100"), sell("10", "105")).when_traded(buy("1", "90")).then(
        "opened: 1 @ 90, realized 50"
    )


def test_fees_reduce_the_realized_gain_and_not_the_entry_price() -> None:
    given().when_traded(buy("10", "100", "1.5")).then("opened: 10 @ 100, realized -1.5, fees 1.5")
    after = given(buy("10", "100", "1.5"))
    after.when_traded(sell("4", "105", "0.5")).then(
        "changed: 6 @ 100, realized 18, fees 2"
    ).when_traded(sell("6", "105", "1")).then("closed: nothing, realized 47, fees 3 (by this 29)")


def test_the_fee_of_a_trade_through_zero_counts_once() -> None:
    given(buy("10", "100")).when_traded(sell("15", "105", "3")).then(
        "closed: nothing, realized 47, fees 3 (by this 47)",
        "opened: -5 @ 105, realized 47, fees 3",
    )


def test_a_rebate_is_a_fee_below_zero() -> None:
    given().when_traded(buy("10", "100", "-0.25")).then(
        "opened: 10 @ 100, realized 0.25, fees -0.25"
    )


def test_a_rounded_entry_price_loses_no_money() -> None:
    third = given(buy("1", "100"), buy("2", "100.5"))
    assert third.traded_state.position.entry_price == Decimal("100.33333333")
    assert third.traded_state.position.cost_basis == Decimal(301)
    third.apply_trade(sell("1", "110"))
    third.apply_trade(sell("1", "110"))
    third.apply_trade(sell("1", "110"))
    assert third.traded_state.position.realized_pnl == 29
    assert third.traded_state.position.cost_basis == 0


def test_a_repeated_trade_changes_nothing() -> None:
    after = given(buy("10", "100"), sell("15", "105"), buy("1", "100"))
    for number in (1, 2, 3):
        after.when_traded(buy("10", "100"), number).then()


def test_an_event_names_its_trade_and_belongs_to_user_and_symbol() -> None:
    command = build_trade_command(
        "event", "bob", 77, trade(Side.BUY, "1", "2", symbol="BRK.B", number=5)
    )
    [new_event] = POSITION_DECIDER.decide(UntradedState(), command)
    assert new_event.subject == EventSubject("bob", "positions", "BRK.B")
    assert isinstance(new_event.event, PositionEvent)
    assert (new_event.event.trade_id, new_event.event.trade_sequence) == ("t5", 77)
    assert new_event.event.position.timestamp == command.trade.timestamp


def test_the_last_event_is_the_whole_state() -> None:
    after = given(buy("10", "100", "1"), sell("15", "105"), buy("2", "99"))
    assert POSITION_DECIDER.evolve(POSITION_DECIDER.initial_state, after.events[-1]) == after.state


def test_numbers_are_normalized() -> None:
    position = given(buy("10.50", "1E+2"), buy("9.500", "100.0")).traded_state.position
    assert CODEC.encode(position).startswith(
        b'{"symbol":"IBM","quantity":20,"costBasis":2000,"entryPrice":100,"realizedPnl":0,"fees":0,'
    )
    closed = given(buy("1", "5"), sell("1", "5.00")).traded_state.position
    assert str(closed.realized_pnl) == "0"


@pytest.mark.parametrize(
    ("path", "qty", "price", "fee"),
    [
        ("qty", "0", "1", "0"),
        ("qty", "-1", "1", "0"),
        ("qty", "NaN", "1", "0"),
        ("qty", "Infinity", "1", "0"),
        ("qty", "1e999999", "1", "0"),
        ("qty", "1e-999999", "1", "0"),
        ("qty", "1.0000000001", "1", "0"),
        ("price", "1", "-1000000000001", "0"),
        ("price", "1", "sNaN", "0"),
        ("price", "1", "1000000000001", "0"),
        ("fee", "1", "1", "-Infinity"),
        ("fee", "1", "1", "0.0000000000001"),
    ],
)
def test_a_trade_with_numbers_out_of_bounds_is_rejected(
    path: str, qty: str, price: str, fee: str
) -> None:
    with pytest.raises(CommandRejected) as refused:
        build_trade_command("e", "alice", 1, buy(qty, price, fee))
    assert (refused.value.code, refused.value.path) == ("invalid", path)
    assert len(refused.value.message) < 150


@pytest.mark.parametrize("symbol", ["", "X" * 65])
def test_a_trade_without_a_valid_symbol_is_rejected(symbol: str) -> None:
    with pytest.raises(CommandRejected) as refused:
        build_trade_command("e", "alice", 1, trade(Side.BUY, "1", "1", symbol=symbol))
    assert refused.value.path == "symbol"


def test_the_largest_numbers_stay_exact() -> None:
    most, finest = "1000000000000", "0.000000000001"
    after = given(buy(most, most), buy("0.000000001", finest), sell("333333333.333333333", finest))
    while after.traded_state.position.quantity:
        after.apply_trade(
            sell(str(min(after.traded_state.position.quantity, Decimal(most))), finest)
        )
    paid = Decimal(most).fma(Decimal(most), 0)
    assert after.traded_state.position.cost_basis == 0
    assert abs(after.traded_state.position.realized_pnl + paid) < 2


def test_a_trade_of_a_version_without_fees_has_no_fee() -> None:
    stored = (
        b'{"tradeId":"t","orderId":"o","symbol":"IBM","side":"buy","qty":1,"price":2,'
        b'"strategyId":null,"timestamp":"2026-03-02T14:30:00Z"}'
    )
    old = CATALOGUE.decode("trade.executed.v1", stored)
    assert isinstance(old, TradeExecuted)
    assert old.fee == 0
    assert CODEC.encode(old) == stored


def test_a_fee_is_stored_digit_for_digit() -> None:
    stored = CODEC.encode(buy("1", "2", "1.50"))
    assert stored.endswith(b'"fee":1.50}')
    again = CATALOGUE.decode("trade.executed.v1", stored)
    assert isinstance(again, TradeExecuted)
    assert str(again.fee) == "1.50"
    assert again.timestamp > START
