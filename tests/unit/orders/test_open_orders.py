"""The fold of all open orders, and its checkpoint."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.brokers import OpenOrder
from tapewire.events import CATALOGUE, CODEC, QuotedOffer, Side, UserErased
from tapewire.log import EventMetadata, NewEvent, RecordedEvent
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.open_orders import (
    AFTER_ALL_EVENTS,
    ConsumedLiquidity,
    OpenOrders,
)
from tapewire_services.orders.domain.order import new_order
from tests.harness.erasures import recorded_erasure
from tests.harness.order_builders import START, OrderHistory, accept, cancel, fill, given, place


def recorded(new_event: NewEvent, sequence: int) -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        subject=str(new_event.subject),
        tag=CATALOGUE.tag_of(type(new_event.event)),
        data=CODEC.encode(new_event.event),
        metadata=EventMetadata(id=f"e{sequence}", correlation=f"of-{sequence}"),
        time=START,
    )


def build_history() -> list[RecordedEvent]:
    """Ten orders, one after the other: some filled, some canceled, some still open."""
    histories: list[OrderHistory] = []
    for number in range(10):
        commands: list[Command] = [
            place("10", client_order_id=f"c{number}", user=f"u{number % 3}"),
            accept(),
            fill("4"),
        ]
        endings: list[list[Command]] = [
            [],
            [fill("6", filled_before="4")],
            [cancel()],
            [fill("1", filled_before="4")],
        ]
        commands += endings[number % 4]
        histories.append(given(*commands))
    return [
        recorded(event, sequence)
        for sequence, event in enumerate(
            (event for history in histories for event in history.new_events), 1
        )
    ]


HISTORY = build_history()
OFFER = QuotedOffer(number=1, size=Decimal(9), volume=Decimal(0))
ERASURE = recorded_erasure("u0", 1000, "orders")


def test_the_fold_holds_the_open_orders_with_their_users() -> None:
    fold = OpenOrders()
    for one in HISTORY:
        fold.apply(one)
    assert [(o.user, str(o.order.filled_qty), o.accepted) for o in fold.orders()] == [
        ("u0", "4", True),
        ("u0", "5", True),
        ("u1", "4", True),
        ("u1", "5", True),
        ("u2", "4", True),
    ]


def test_an_open_order_keeps_the_correlation_of_its_placing() -> None:
    fold = OpenOrders()
    for one in HISTORY[:4]:
        fold.apply(one)
    (open_,) = fold.orders()
    assert (open_.since, open_.sequence, open_.correlation) == (1, 3, "of-1")


def test_the_event_that_closes_an_order_returns_it_once() -> None:
    fold = OpenOrders()
    orders = [
        fold.apply(recorded(one, n)) for n, one in enumerate(given(place(), cancel()).new_events)
    ]
    assert [one.order.status.is_open for one in orders if one is not None] == [True, False]
    assert len(fold) == 0
    assert fold.apply(HISTORY[1]) is None, "the order of the event is unknown"


@examples(st.integers(0, len(HISTORY)))
def test_a_checkpoint_at_any_point_changes_nothing(point: int) -> None:
    straight, broken = OpenOrders(), OpenOrders()
    for one in HISTORY:
        straight.apply(one)
    for one in HISTORY[:point]:
        broken.apply(one)
    broken = OpenOrders.decode(broken.encode())
    for one in HISTORY[point:]:
        broken.apply(one)
    assert broken.orders() == straight.orders()
    assert broken.consumed_liquidity() == straight.consumed_liquidity()


def filled(
    qty: str, offer: QuotedOffer | None, sequence: int, client: str = "c1", price: str = "100"
) -> list[RecordedEvent]:
    """An order, and a fill that consumed an offer."""
    filled_event = msgspec.structs.replace(fill(qty, price), offer=offer)
    placed = given(place("100", client_order_id=client), accept(), filled_event)
    return [recorded(one, sequence + number) for number, one in enumerate(placed.new_events)]


def fold_consumed(fills: list[tuple[str, QuotedOffer | None]], price: str = "100") -> list[str]:
    """What is consumed after each of the fills, as ``number: qty``."""
    fold, consumed = OpenOrders(), list[str]()
    for number, (qty, offer) in enumerate(fills):
        for event in filled(qty, offer, 100 * number + 1, f"c{number}", price):
            fold.apply(event)
        [one] = fold.consumed_liquidity()
        consumed.append(f"{one.offer_number}: {one.qty}")
    assert OpenOrders.decode(fold.encode()).consumed_liquidity() == fold.consumed_liquidity()
    return consumed


def test_liquidity_consumed_from_an_offer_adds_up_and_starts_again_with_the_next_offer() -> None:
    one, two = OFFER, msgspec.structs.replace(OFFER, number=2)
    fills: list[tuple[str, QuotedOffer | None]] = [
        ("4", one), ("3", one), ("5", two), ("9", one), ("2", two)
    ]  # fmt: skip
    assert fold_consumed(fills) == ["1: 4", "1: 7", "2: 5", "2: 5", "2: 7"]


def test_old_fills_that_name_no_offer_add_up_at_their_price() -> None:
    assert fold_consumed([("4", None), ("3", None), ("2", OFFER)]) == ["0: 4", "0: 7", "1: 2"]
    fold = OpenOrders()
    for number, price in enumerate(["100", "101"]):
        for event in filled("4", None, 100 * number + 1, f"c{number}", price):
            fold.apply(event)
    [one] = fold.consumed_liquidity()
    assert (one.price, one.qty) == (Decimal(101), Decimal(4))


@pytest.mark.parametrize("state", [b"", b"no", b"{}", b"[", b'{"orders":[]}'])
def test_a_state_of_another_shape_is_rejected(state: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        OpenOrders.decode(state)


def forget(fold: OpenOrders) -> list[OpenOrder]:
    assert isinstance(ERASURE.event, UserErased)
    return fold.forget_user(ERASURE.event)


def test_an_erased_user_has_no_open_orders_and_others_keep_theirs() -> None:
    consumed = ConsumedLiquidity(
        symbol="IBM",
        side=Side.BUY,
        price=Decimal(100),
        offer=OFFER,
        qty=Decimal(1),
    )
    fold = OpenOrders(consumed=[consumed])
    for one in HISTORY:
        fold.apply(one)
    before = fold.orders()
    mine = [one for one in before if one.user == "u0"]
    assert mine
    forgotten = forget(fold)
    assert [one.order.order_id for one in forgotten] == [one.order.order_id for one in mine]
    assert not any(one.order.status.is_open for one in forgotten)
    assert {one.sequence for one in forgotten} == {AFTER_ALL_EVENTS}
    assert fold.orders() == [one for one in before if one.user != "u0"]
    assert b'"u0"' not in fold.encode()


def test_nothing_of_an_erased_user_remains_reserved() -> None:
    """The fill of what was proposed may be stored after the erasure, and never be read."""
    fold, reduce = OpenOrders(), new_order(place("10", user="u0", side=Side.SELL, reduce_only=True))
    others = new_order(place("10", user="u1", side=Side.SELL, reduce_only=True))
    for one in HISTORY:
        fold.apply(one)
    for user, order in (("u0", reduce), ("u1", others)):
        fold.positions.reserve(user, order, Decimal(2))
    forget(fold)
    assert not fold.positions.has_reservations("u0", "IBM")
    assert fold.positions.reducible_qty("u0", reduce) == 0
    assert fold.positions.has_reservations("u1", "IBM")
    fold.positions.release("u0", reduce, Decimal(2))


def test_without_the_erased_events_the_fold_is_the_same() -> None:
    """Services have folded the user's events, a verifier cannot: fills of the user consumed
    liquidity."""
    consumed = ConsumedLiquidity(
        symbol="IBM",
        side=Side.BUY,
        price=Decimal(100),
        offer=OFFER,
        qty=Decimal(1),
    )
    whole, rest = OpenOrders(consumed=[consumed]), OpenOrders()
    for one in HISTORY:
        whole.apply(one)
        if one.event_subject.owner != "u0":
            rest.apply(one)
    for fold in (whole, rest):
        fold.apply(ERASURE)
    assert whole.encode() == rest.encode()
