"""What each command changes on an order."""

from decimal import Decimal

import pytest

from tapewire.events import OrderEvent, OrderFilled, OrderPlaced, TradeExecuted, WaitingReason
from tapewire.log import CommandRejected, EventSubject
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.order import decide, evolve
from tapewire_services.orders.domain.order_state import ClosedState, UnplacedState, WorkingState
from tests.harness.order_builders import (
    USER,
    accept,
    at,
    cancel,
    fail,
    fill,
    given,
    note_waiting,
    order_id,
    place,
    reject,
)


def test_an_order_is_placed_accepted_and_filled() -> None:
    order = given().when(place("10", limit="101")).then("orders: placed new 0/10")
    order.when(accept()).then("orders: accepted new 0/10")
    order.when(fill("4", "100.5")).then(
        "orders: filled partially_filled 4/10 avg 100.5 by 4@100.5", "trades: trade 4@100.5"
    )
    order.when(fill("6", "101", filled_before="4")).then(
        "orders: filled filled 10/10 avg 100.8 by 6@101", "trades: trade 6@101"
    )
    assert isinstance(order.state, ClosedState)


def test_a_fill_and_its_trade_share_an_id_that_no_other_fill_has() -> None:
    order = given(place("10"), accept(), fill("4"), fill("6", filled_before="4"))
    fills = [event for event in order.events if isinstance(event, OrderFilled)]
    trades = [event for event in order.events if isinstance(event, TradeExecuted)]
    id_ = order_id(USER, "c-1")
    assert [one.trade_id for one in fills] == [one.trade_id for one in trades]
    assert [one.trade_id for one in trades] == [f"{id_}-1", f"{id_}-2"]


def test_a_fill_is_an_event_of_the_order_and_of_its_trades() -> None:
    order = given(place("10"), fill("4"))
    id_ = order_id(USER, "c-1")
    assert [new_event.subject for new_event in order.new_events] == [
        EventSubject(USER, "orders", id_),
        EventSubject(USER, "orders", id_),
        EventSubject(USER, "trades", id_),
    ]


def test_a_fill_implies_that_the_order_was_accepted() -> None:
    order = given(place("10"), fill("4"))
    assert isinstance(order.state, WorkingState)
    order.when(reject()).then_rejected("conflict")


@pytest.mark.parametrize("end", [cancel(), reject(), fill("10")], ids=["cancel", "reject", "fill"])
def test_an_order_whose_first_events_were_removed_stays_closed(end: Command) -> None:
    events = [one for one in given(place("10"), end).events if isinstance(one, OrderEvent)]
    state = evolve(UnplacedState(), events[-1])
    assert isinstance(state, ClosedState)
    with pytest.raises(CommandRejected, match="already"):
        decide(state, cancel(id="later"))


def test_an_order_whose_first_events_were_removed_works_on() -> None:
    [_, accepted] = given(place("10"), accept()).events
    state = evolve(UnplacedState(), accepted)
    assert isinstance(state, WorkingState)
    assert state.order.status.is_open


def test_the_average_price_is_rounded_once_from_the_exact_sum() -> None:
    order = given(place("3"), fill("1", "0.0000005"), fill("1", "0.0000005", filled_before="1"))
    order.when(fill("1", "0.0000008", filled_before="2")).then(
        "orders: filled filled 3/3 avg 6E-7 by 1@8E-7", "trades: trade 1@8E-7"
    )


def test_placing_again_under_the_same_client_order_id_changes_nothing() -> None:
    order = given(place("10", limit="101"), accept(), fill("4"))
    order.when(place("10", limit="101")).then()
    order.when(place("10.0", limit="101.00", id="another command")).then()


def test_another_order_under_a_used_client_order_id_is_rejected() -> None:
    for other in (
        place("11", limit="101"),
        place("10", limit="102"),
        place("10"),
        place("10", limit="101", symbol="SPY"),
        place("10", limit="101", strategy_id="s"),
    ):
        order = given(place("10", limit="101"))
        order.when(other).then_rejected("key_reused", "clientOrderId")


def test_two_users_may_use_the_same_client_order_id() -> None:
    assert order_id("alice", "c") != order_id("bob", "c")
    assert order_id("a", "b:c") != order_id("a:b", "c")
    assert order_id("alice", "c") == order_id("alice", "c")


def test_a_command_decided_before_changes_nothing() -> None:
    order = given(place("10"), accept(), fill("4"))
    for again in (accept(), fill("4")):
        order.when(again).then()
    order.when(cancel()).then("orders: canceled canceled 4/10 avg 100 (enough)")
    for repeated in (cancel(), accept(), fill("4")):
        order.when(repeated).then()


def test_accepting_twice_changes_nothing() -> None:
    given(place(), accept()).when(accept("again")).then()


def test_a_closed_order_rejects_every_command() -> None:
    endings: list[Command] = [cancel(), reject(), fail(), fill("10")]
    attempts: list[Command] = [
        cancel("2"),
        reject("2"),
        fail("2"),
        accept("2"),
        fill("1", id="2", filled_before="10"),
    ]
    for ending in endings:
        for attempt in attempts:
            given(place("10"), ending).when(attempt).then_rejected("conflict", message="already")


def test_an_order_that_was_never_placed_is_not_found() -> None:
    for command in (accept(), fill("1"), cancel(), reject(), fail()):
        given().when(command).then_rejected("not_found")


def test_an_accepted_order_fails_but_is_not_rejected() -> None:
    order = given(place("10"), accept())
    order.when(reject()).then_rejected("conflict")
    order.when(fail()).then("orders: failed failed 0/10 (venue down)")


def test_an_order_is_never_overfilled() -> None:
    order = given(place("10"), fill("4"))
    order.when(fill("6.000001", filled_before="4")).then_rejected(
        "invalid", "qty", message="6 is left"
    )


def test_the_same_part_of_an_order_is_not_filled_by_two_brokers() -> None:
    order = given(place("10"), fill("4", id="one broker"))
    order.when(fill("4", id="another")).then_rejected("conflict", "filledBefore")


def test_an_execution_worse_than_the_limit_is_rejected() -> None:
    given(place(limit="100")).when(fill("1", "100.01")).then_rejected("invalid", "price")
    bought = given(place(limit="100")).when(fill("1", "99.99"))
    bought.then(
        "orders: filled partially_filled 1/10 avg 99.99 by 1@99.99", "trades: trade 1@99.99"
    )


def test_an_execution_without_finite_numbers_is_rejected() -> None:
    for bad in ("NaN", "Infinity", "1e999999", "1e-999999"):
        given(place()).when(fill(bad)).then_rejected("invalid", "qty")
        given(place()).when(fill("1", bad)).then_rejected("invalid", "price")
    for bad in ("0", "-1"):
        given(place()).when(fill(bad)).then_rejected("invalid", "qty")


@pytest.mark.parametrize("price", ["0", "-37.63", "0.00001234", "15000000"])
def test_an_execution_is_booked_at_every_price_that_a_market_has(price: str) -> None:
    given(place()).when(fill("1", price)).then(
        f"orders: filled partially_filled 1/10 avg {price} by 1@{price}", f"trades: trade 1@{price}"
    )


def test_the_timestamp_of_an_order_never_decreases() -> None:
    order = given(place(), cancel())
    assert isinstance(order.state, ClosedState)
    assert order.state.order.timestamp == at(3)
    late = given(place(), fill("1"), accept())
    assert not isinstance(late.state, ClosedState)
    assert isinstance(late.state, WorkingState)
    assert late.state.order.timestamp == at(2)


def test_quantities_are_normalized() -> None:
    order = given(place("1E+3", limit="12.3400"))
    placed = order.events[0]
    assert isinstance(placed, OrderPlaced)
    assert repr(placed.order.qty) == repr(Decimal(1000))
    assert repr(placed.order.limit_price) == repr(Decimal("12.34"))


def test_an_order_waits_until_the_next_fill() -> None:
    order = given(place("10"), accept())
    order.when(note_waiting()).then(
        "orders: waiting new 0/10 waiting no_offer"
        " (it waits for an offer: there is none on the other side)"
    )
    order.when(fill("4")).then(
        "orders: filled partially_filled 4/10 avg 100 by 4@100", "trades: trade 4@100"
    )


def test_an_order_waits_until_its_end() -> None:
    order = given(place("10"), accept(), note_waiting(WaitingReason.CROSSED))
    order.when(cancel()).then("orders: canceled canceled 0/10 (enough)")
    order = given(place("10"), accept(), note_waiting(WaitingReason.CROSSED))
    order.when(fail()).then("orders: failed failed 0/10 (venue down)")


def test_a_reason_to_wait_is_noted_when_it_changes() -> None:
    order = given(place("10"), accept(), note_waiting())
    order.when(note_waiting(id="w2")).then()
    order.when(note_waiting(WaitingReason.STALE_QUOTE, id="w3")).then(
        "orders: waiting new 0/10 waiting stale_quote"
        " (it waits for a fresh quote: the last one is stale)"
    )
    order.when(note_waiting(None, id="w4")).then("orders: waiting new 0/10")


def test_an_order_that_was_filled_meanwhile_does_not_wait() -> None:
    given(place("10"), accept(), fill("4")).when(note_waiting()).then()
    given(place("10"), accept(), fill("10")).when(note_waiting()).then_rejected("conflict")


def test_an_order_that_is_not_accepted_does_not_wait() -> None:
    given(place("10")).when(note_waiting()).then()
