"""Requests to cancel and to replace an order, which the broker confirms, rejects, or answers too
late."""

import pytest

from tapewire.events import TimeInForce
from tapewire_services.orders.domain.commands import ReplaceOrderCommand
from tests.harness.order_builders import (
    accept,
    cancel,
    confirm_replace,
    execution,
    fill,
    given,
    place,
    reject_cancel,
    reject_replace,
    replace,
    request_cancel,
    trigger,
)


def test_a_cancel_is_pending_until_the_broker_confirms_it() -> None:
    order = given(place("10", limit="101"), accept(), fill("4"))
    order.when(request_cancel()).then("orders: cancelrequested pending_cancel 4/10 avg 100")
    order.when(request_cancel("again")).then()
    order.when(cancel()).then("orders: canceled canceled 4/10 avg 100 (enough)")


def test_an_order_is_filled_while_its_cancel_is_pending() -> None:
    order = given(place("10"), accept(), request_cancel())
    order.when(execution("E1", "4")).then(
        "orders: filled pending_cancel 4/10 avg 100 by 4@100", "trades: trade 4@100"
    )
    order.when(execution("E2", "6")).then(
        "orders: filled filled 10/10 avg 100 by 6@100", "trades: trade 6@100"
    )
    order.when(cancel()).then_rejected("conflict", message="filled already")


def test_a_rejected_cancel_leaves_the_order_as_it_was() -> None:
    order = given(place("10"), accept(), fill("4"), request_cancel())
    order.when(reject_cancel()).then(
        "orders: cancelrejected partially_filled 4/10 avg 100 (too late)"
    )
    order.when(reject_cancel("again")).then()
    order.when(fill("1", filled_before="4")).then(
        "orders: filled partially_filled 5/10 avg 100 by 1@100", "trades: trade 1@100"
    )


def test_an_order_that_is_canceled_before_it_is_accepted_can_still_be_accepted() -> None:
    order = given(place("10"), request_cancel())
    order.when(accept()).then("orders: accepted pending_cancel 0/10")


def test_a_replacement_without_confirmation_takes_effect_and_keeps_the_order_id() -> None:
    order = given(place("10", limit="101"), accept(), fill("4"))
    order.when(replace("12", "99.5", is_asked=False)).then(
        "orders: replaced partially_filled 4/12 avg 100"
    )
    after = order.order
    assert (after.client_order_id, str(after.limit_price)) == ("c-1", "99.5")
    order.when(replace("12", is_asked=False, id="same")).then()
    order.when(place("10", limit="101")).then()


def test_a_replacement_is_pending_until_the_broker_confirms_it() -> None:
    order = given(place("10", limit="101"), accept())
    order.when(replace("20", "102")).then("orders: replacerequested pending_replace 0/10")
    order.when(replace("30", id="second")).then_rejected("conflict")
    order.when(confirm_replace()).then("orders: replaced new 0/20")
    assert order.order.replacement is None
    assert str(order.order.limit_price) == "102"


def test_a_rejected_replacement_leaves_the_terms_as_they_were() -> None:
    order = given(place("10", limit="101"), accept(), replace("20"))
    order.when(reject_replace()).then("orders: replacerejected new 0/10 (no)")
    assert order.order.replacement is None


def test_an_order_that_waits_for_a_larger_quantity_stays_open_when_the_smaller_one_is_filled() -> (
    None
):
    waiting = (place("10"), accept(), replace("15"), execution("E1", "10"))
    order = given(*waiting)
    assert order.order.status.value == "pending_replace"
    order.when(confirm_replace()).then("orders: replaced partially_filled 10/15 avg 100")
    given(*waiting).when(reject_replace()).then("orders: replacerejected filled 10/10 avg 100 (no)")


def test_a_smaller_quantity_that_is_filled_already_ends_the_order_when_it_is_confirmed() -> None:
    order = given(place("10"), accept(), replace("5"), execution("E1", "7"))
    order.when(confirm_replace()).then("orders: replaced filled 7/5 avg 100")


def test_a_cancel_and_a_replacement_can_be_pending_at_once_and_are_answered_in_any_order() -> None:
    both = (place("10"), accept(), replace("15"), request_cancel())
    order = given(*both, confirm_replace())
    assert (order.order.status.value, str(order.order.qty)) == ("pending_cancel", "15")
    order.when(reject_cancel()).then("orders: cancelrejected new 0/15 (too late)")
    given(*both).when(reject_cancel()).then(
        "orders: cancelrejected pending_replace 0/10 (too late)"
    )
    order = given(*both)
    order.when(cancel()).then("orders: canceled canceled 0/10 (enough)")
    assert order.order.replacement is None


def test_answers_that_nobody_waits_for_change_nothing() -> None:
    order = given(place("10"), accept())
    order.when(reject_cancel()).then()
    order.when(reject_replace()).then()
    order.when(confirm_replace()).then_rejected("conflict")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (replace("4"), "qty"),
        (replace("0"), "qty"),
        (replace("1000001"), "qty"),
        (replace(limit="0"), "limitPrice"),
        (replace(limit="1.000000001"), "limitPrice"),
        (replace(stop="5"), "stopPrice"),
    ],
)
def test_terms_that_the_order_cannot_have_are_refused_by_field(
    terms: ReplaceOrderCommand, field: str
) -> None:
    given(place("10", limit="101"), accept(), fill("4")).when(terms).then_rejected("invalid", field)


def test_a_stop_is_triggered_once_and_its_price_is_fixed_from_then_on() -> None:
    order = given(place("10", stop="95", limit="94", time_in_force=TimeInForce.DAY), accept())
    order.when(replace(stop="96", is_asked=False)).then("orders: replaced new 0/10")
    order.when(trigger()).then("orders: triggered new 0/10")
    assert order.order.triggered_at is not None
    order.when(trigger("again")).then()
    order.when(replace(stop="97", id="late")).then_rejected("invalid", "stopPrice")
    given(place("10"), accept()).when(trigger()).then()
