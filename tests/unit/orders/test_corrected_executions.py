"""Executions that are corrected or busted: the order is as if they had always been like this."""

import random
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from tapewire.events import OrderExecutionCorrected, OrderFilled, TradeCorrected
from tapewire.log import CommandRejected
from tapewire_services.orders.domain.commands import Command, CorrectExecutionCommand
from tapewire_services.orders.domain.net_positions import NetPositions
from tests.harness.order_builders import (
    USER,
    OrderHistory,
    accept,
    bust,
    cancel,
    correct,
    execution,
    fill,
    given,
    place,
    replace,
    request_cancel,
)


def test_a_busted_execution_of_a_working_order_is_worked_again() -> None:
    order = given(place("100"), accept(), execution("E1", "40"), execution("E2", "30", "101"))
    order.when(bust("E1")).then(
        "orders: executioncorrected partially_filled 30/100 avg 101",
        "trades: trade 40@100 is 0@100",
        "alerts: error",
    )
    order.when(bust("E2")).then(
        "orders: executioncorrected new 0/100",
        "trades: trade 30@101 is 0@101",
        "alerts: error",
    )
    order.when(execution("E3", "100")).then(
        "orders: filled filled 100/100 avg 100 by 100@100", "trades: trade 100@100"
    )


def test_a_filled_order_does_not_work_again_and_is_canceled() -> None:
    order = given(place("100"), accept(), execution("E1", "60"), execution("E2", "40", "101"))
    order.when(bust("E2")).then(
        "orders: executioncorrected canceled 60/100 avg 100 (an execution was busted)",
        "trades: trade 40@101 is 0@101",
        "alerts: error",
    )
    order.when(correct("E1", "100")).then(
        "orders: executioncorrected filled 100/100 avg 100 (an execution was busted)",
        "trades: trade 60@100 is 100@100",
        "alerts: error",
    )


@pytest.mark.parametrize(
    ("before", "status"),
    [
        ((cancel(),), "canceled"),
        ((request_cancel(),), "pending_cancel"),
        ((replace("200"),), "pending_replace"),
    ],
)
def test_a_correction_changes_no_other_status(before: tuple[Command, ...], status: str) -> None:
    order = given(place("100"), accept(), execution("E1", "40"), *before)
    order.decide(correct("E1", "30", "99"))
    assert (order.order.status.value, order.order.filled_qty) == (status, Decimal(30))
    assert order.order.filled_avg_price == Decimal(99)


def test_quantity_price_and_fee_are_corrected_one_by_one() -> None:
    order = given(place("10"), accept(), execution("E1", "4", fee="0.35"), execution("E2", "6"))
    order.when(correct("E1", price="98")).then(
        "orders: executioncorrected filled 10/10 avg 99.2 fees 0.35",
        "trades: trade 4@100 is 4@98",
        "alerts: error",
    )
    order.when(correct("E1", fee="0")).then(
        "orders: executioncorrected filled 10/10 avg 99.2",
        "trades: trade 4@98 is 4@98",
        "alerts: error",
    )
    order.when(correct("E1", "3.5")).then(
        "orders: executioncorrected canceled 9.5/10 avg 99.26315789 (an execution was corrected)",
        "trades: trade 4@98 is 3.5@98",
        "alerts: error",
    )


def test_an_execution_is_named_by_its_trade_or_by_its_last_correction() -> None:
    order = given(place("10"), accept(), fill("4"))
    trade = f"{order.order.order_id}-1"
    order.decide(correct(None, "3", trade_id=trade, correction_id="C1"))
    order.decide(correct("C1", "2", correction_id="C2"))
    assert order.order.filled_qty == 2
    order.decide(bust("C2"))
    assert order.order.filled_qty == 0
    corrections = [one for one in order.events if isinstance(one, TradeCorrected)]
    assert [one.trade_id for one in corrections] == [trade] * 3
    assert [one.number for one in corrections] == [1, 2, 3]


def test_a_correction_is_booked_once_and_the_first_report_is_still_known() -> None:
    order = given(place("10"), accept(), execution("E1", "4"))
    reported = [correct("E1", "3", correction_id="C1"), correct("E1", "5", correction_id="C2")]
    for one in reported:
        order.decide(one)
    repeated: list[Command] = [
        *reported,
        correct("E1", "3", correction_id="C1", id="another"),
        execution("E1", "4"),
    ]
    for again in repeated:
        order.when(again).then()
    assert order.order.filled_qty == 5
    order.when(correct("E1", "5", id="yet another")).then()
    order.when(correct("E1", "6", correction_id="C1", id="c")).then_rejected(
        "conflict", "correctionId"
    )


def test_a_correction_that_changes_nothing_is_known_by_its_id() -> None:
    order = given(place("10"), accept(), execution("E1", "4"))
    order.when(correct("E1", "4", correction_id="C1")).then(
        "orders: executioncorrected partially_filled 4/10 avg 100",
        "trades: trade 4@100 is 4@100",
        "alerts: error",
    )
    order.when(correct("E1", "4", correction_id="C1", id="again")).then()
    order.when(correct("C1", "4", id="without an id")).then()
    order.decide(correct("C1", "3", correction_id="C2"))
    order.decide(bust("C2"))
    assert order.order.filled_qty == 0


def test_what_is_busted_stays_busted() -> None:
    order = given(place("10"), accept(), execution("E1", "4"), bust("E1"))
    order.when(bust("E1", "other")).then()
    order.when(correct("E1", "4")).then_rejected("conflict", message="busted")
    order.when(execution("E1", "4")).then()


def from_operator(command: CorrectExecutionCommand, correction_id: str | None) -> Command:
    return msgspec.structs.replace(
        command, id=f"by hand {correction_id}", correction_id=correction_id, from_operator=True
    )


def test_an_operator_is_told_that_an_execution_is_busted_already() -> None:
    first = from_operator(bust("E1"), "C1")
    order = given(place("10"), accept(), execution("E1", "4"), first)
    for again in (bust("E1"), correct("E1", price="100"), correct("E1", fee="0")):
        for id_ in (None, "C2"):
            order.when(from_operator(again, id_)).then_rejected("conflict", message="busted")
    order.when(first).then()
    order.when(msgspec.structs.replace(first, id="another try")).then()
    # The venue may report the bust that the operator booked.
    order.when(bust("E1", "reported")).then()


@pytest.mark.parametrize(
    ("correction", "code", "path"),
    [
        (bust("E9"), "not_found", "executionId"),
        (correct(None, "1"), "not_found", "executionId"),
        (correct(None, "1", trade_id="o-1"), "not_found", "tradeId"),
        (correct("E1", "0"), "invalid", "qty"),
        (correct("E1", "-1"), "invalid", "qty"),
        (correct("E1", "NaN"), "invalid", "qty"),
        (correct("E1", price="0.000000001"), "invalid", "price"),
        (correct("E1", fee="Infinity"), "invalid", "fee"),
        (correct("E1", "1", correction_id="C\n"), "invalid", "correctionId"),
        (correct("", "1"), "invalid", "executionId"),
    ],
)
def test_a_correction_that_names_or_says_nothing_usable_is_rejected(
    correction: CorrectExecutionCommand, code: str, path: str
) -> None:
    given(place("10"), accept(), execution("E1", "4")).when(correction).then_rejected(code, path)


@pytest.mark.parametrize("number", ["0", "2", "-1", "\u0661", "1.0"])
def test_a_trade_of_another_number_is_not_found(number: str) -> None:
    order = given(place("10"), accept(), fill("4"))
    trade = f"{order.order.order_id}-{number}"
    order.when(correct(None, "1", trade_id=trade)).then_rejected("not_found", "tradeId")


@pytest.mark.parametrize("seed", range(40))
def test_an_order_is_what_its_corrected_executions_make_of_it(seed: int) -> None:
    """Against a plain recomputation, and what the broker's reduce-only orders know of it."""
    rng, order = random.Random(seed), given(place("50"), accept())
    booked: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    for number in range(30):
        id_, qty = f"E{number}", str(rng.choice([1, 2, "0.5"]))
        price, fee = str(rng.choice([99, "100.25"])), str(rng.choice([0, "0.35", "-0.1"]))
        kinds = ["execute", "correct", "bust", *(["cancel"] if number > 20 else [])]
        kind = rng.choice(kinds)
        if kind == "execute":
            order.decide(execution(id_, qty, price, fee=fee))
            booked[id_] = (Decimal(qty), Decimal(price), Decimal(fee))
        elif kind == "cancel":
            try_to_decide(order, cancel(id=id_))
        elif booked:
            id_ = rng.choice([*booked])
            command = bust(id_) if kind == "bust" else correct(id_, qty, price, fee=fee)
            command = msgspec.structs.replace(command, id=f"command {number}")
            if try_to_decide(order, command):
                zero = (Decimal(0), Decimal(0), Decimal(0))
                booked[id_] = (
                    zero if kind == "bust" else (Decimal(qty), Decimal(price), Decimal(fee))
                )
    found = order.order
    assert found.filled_qty == sum(qty for qty, _, _ in booked.values())
    assert found.fee_total == sum(fee for _, _, fee in booked.values())
    notional = sum(
        (Fraction(qty) * Fraction(price) for qty, price, _ in booked.values()), Fraction(0)
    )
    if found.filled_qty:
        average = notional / Fraction(found.filled_qty)
        assert found.filled_avg_price is not None
        assert abs(Fraction(found.filled_avg_price) - average) <= Fraction(1, 10**8)
    assert (found.filled_qty >= found.qty) == (found.status.value == "filled")
    positions = NetPositions()
    for event in order.events:
        if isinstance(event, OrderFilled | OrderExecutionCorrected):
            positions.apply(USER, event)
    assert sum(one.qty for one in positions.positions()) == found.filled_qty


def try_to_decide(order: OrderHistory, command: Command) -> bool:
    try:
        order.decide(command)
    except CommandRejected:
        return False
    return True
