"""Executions that a venue reports are facts: they are booked whatever the state of the order."""

from decimal import Decimal

import pytest

from tapewire.events import OrderFilled, TradeExecuted
from tapewire_services.orders.domain.commands import Command
from tests.harness.order_builders import (
    accept,
    cancel,
    execution,
    fail,
    fill,
    given,
    place,
    reject,
    replace,
    request_cancel,
)


@pytest.mark.parametrize(
    ("ending", "status"),
    [(cancel(), "canceled"), (reject(), "rejected"), (fail(), "failed")],
)
def test_an_execution_of_a_closed_order_is_booked_and_opens_nothing(
    ending: Command, status: str
) -> None:
    order = given(place("100", limit="101"), ending)
    reason = f"{order.order.reason}; executed after it was {status}"
    order.when(execution("E1", "77")).then(
        f"orders: filled {status} 77/100 avg 100 by 77@100 closed_order ({reason})",
        "trades: trade 77@100",
        "alerts: error",
    )
    order.when(execution("E2", "23", "102")).then(
        "orders: filled filled 100/100 avg 100.46 by 23@102 closed_order worse_than_limit"
        f" ({reason})",
        "trades: trade 23@102",
        "alerts: error",
    )


def test_an_execution_worse_than_the_limit_is_booked() -> None:
    order = given(place("10", limit="101"), accept())
    order.when(execution("E1", "4", "101.01")).then(
        "orders: filled partially_filled 4/10 avg 101.01 by 4@101.01 worse_than_limit",
        "trades: trade 4@101.01",
        "alerts: error",
    )


def test_more_than_was_ordered_is_booked() -> None:
    order = given(place("10"), accept(), execution("E1", "10"))
    order.when(execution("E2", "3", "99")).then(
        "orders: filled filled 13/10 avg 99.76923077 by 3@99 closed_order overfilled",
        "trades: trade 3@99",
        "alerts: error",
    )
    given(place("10"), accept()).when(execution("E1", "11")).then(
        "orders: filled filled 11/10 avg 100 by 11@100 overfilled",
        "trades: trade 11@100",
        "alerts: error",
    )


def test_an_execution_before_the_acceptance_accepts_the_order() -> None:
    order = given(place("10"))
    order.when(execution("E1", "4", venue_order_id="V-1")).then(
        "orders: filled partially_filled 4/10 avg 100 by 4@100", "trades: trade 4@100"
    )
    assert order.order.venue_order_id == "V-1"
    order.when(accept()).then()


def test_terms_that_the_broker_was_asked_for_count_as_fitting() -> None:
    order = given(place("10", limit="100"), accept(), replace("20", "102"))
    order.when(execution("E1", "15", "101.5")).then(
        "orders: filled pending_replace 15/10 avg 101.5 by 15@101.5", "trades: trade 15@101.5"
    )


def test_an_execution_is_booked_once_however_often_and_late_it_is_reported() -> None:
    others = [execution(f"E{number}", "0.01") for number in range(100)]
    order = given(place("10"), accept(), execution("E", "4"), *others, cancel())
    for again in (execution("E", "4"), execution("E", "4.0", "100.00"), others[3]):
        order.when(again).then()
    assert order.order.filled_qty == 5


def test_another_execution_under_a_used_id_is_not_taken_for_the_same() -> None:
    order = given(place("10"), accept(), execution("E", "4"))
    order.when(execution("E", "5")).then_rejected("conflict", "executionId")
    order.when(execution("E", "4", "99")).then_rejected("conflict", "executionId")


@pytest.mark.parametrize(
    ("report", "field"),
    [
        (execution("E", "0"), "qty"),
        (execution("E", "NaN"), "qty"),
        (execution("E", "1", "0.000000001"), "price"),
        (execution("E", "1", fee="Infinity"), "fee"),
        (execution("", "1"), "executionId"),
        (execution("E\n", "1"), "executionId"),
    ],
)
def test_an_execution_without_usable_numbers_or_ids_is_refused(report: Command, field: str) -> None:
    given(place("10"), accept()).when(report).then_rejected("invalid", field)


def test_fees_and_ids_of_executions_are_on_order_fill_and_trade() -> None:
    order = given(place("10"), accept(), request_cancel())
    order.decide(execution("E1", "4", fee="0.35", venue_order_id="V-1"))
    order.decide(execution("E2", "4", fee="-0.10"))
    fills = [one for one in order.events if isinstance(one, OrderFilled)]
    trades = [one for one in order.events if isinstance(one, TradeExecuted)]
    assert [one.fee for one in fills] == [one.fee for one in trades]
    assert [one.execution_id for one in trades] == ["E1", "E2"]
    assert (order.order.fee_total, order.order.venue_order_id) == (Decimal("0.25"), "V-1")


def test_a_simulated_fill_must_still_fit_the_order() -> None:
    order = given(place("10", limit="101"), accept())
    order.when(fill("4", "101.01")).then_rejected("invalid", "price")
    order.when(fill("11")).then_rejected("invalid", "qty")
    given(place("10"), cancel()).when(fill("1")).then_rejected("conflict")
