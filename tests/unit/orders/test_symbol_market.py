"""Which quotes offer something, what a new offer is, and which orders wait for one."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from tapewire.brokers import OpenOrder
from tapewire.events import PriceUpdated, Side
from tapewire_services.orders.domain.order_book import OrderBook
from tapewire_services.orders.domain.symbol_market import SymbolMarket
from tests.harness.order_builders import open_order, quote

BUY = open_order("5", since=1)
SELL = open_order("5", since=2, side=Side.SELL)


def executions(
    *quotes: PriceUpdated, orders: Sequence[OpenOrder] = (BUY, SELL), is_stale: bool = False
) -> list[str]:
    """What is executed against the last of the quotes."""
    book = OrderBook()
    for order in orders:
        book.add_order(order)
    for each in quotes:
        book.update_quote(each)
    return [
        f"{each.open_order.order.order_id} {each.qty}@{each.price}"
        for each in book.match_orders("IBM", is_stale=is_stale)
    ]


def reasons(
    *quotes: PriceUpdated, orders: Sequence[OpenOrder] = (BUY, SELL), is_stale: bool = False
) -> dict[str, str]:
    """What the orders wait for after the last of the quotes."""
    book = OrderBook()
    for order in orders:
        book.add_order(order)
    for each in quotes:
        book.update_quote(each)
    book.match_orders("IBM", is_stale=is_stale)
    return {
        order.order.order_id: reason.value
        for order, reason in book.waiting_orders("IBM", is_stale=is_stale)
    }


def test_a_crossed_market_trades_nothing_and_a_locked_one_does() -> None:
    crossed, locked = quote("101", "100"), quote("100", "100")
    assert executions(crossed) == []
    assert reasons(crossed) == {"o1": "crossed", "o2": "crossed"}
    assert executions(locked) == ["o1 5@100", "o2 5@100"]
    assert reasons(locked) == {}
    assert executions(quote("100.00000001", "100")) == []
    assert executions(crossed, locked) == ["o1 5@100", "o2 5@100"]


@pytest.mark.parametrize(
    ("no_side", "executed", "waiting"),
    [
        (quote("0", "100", sizes=("0", "9")), ["o1 5@100"], {"o2": "no_offer"}),
        (quote("99", "0", sizes=("9", "0")), ["o2 5@99"], {"o1": "no_offer"}),
        (quote("99", "100", sizes=("0", "9")), ["o1 5@100"], {"o2": "no_offer"}),
        (quote("99", "100", sizes=("-1", "NaN")), [], {"o1": "no_offer", "o2": "no_offer"}),
        (quote("0", "0", sizes=("0", "0")), [], {"o1": "no_offer", "o2": "no_offer"}),
        (quote("99", "1e12"), ["o2 5@99"], {"o1": "no_offer"}),
        (quote("NaN", "Infinity"), [], {"o1": "no_offer", "o2": "no_offer"}),
    ],
)
def test_a_side_that_offers_nothing_takes_no_order_and_the_other_one_counts(
    no_side: PriceUpdated, executed: list[str], waiting: dict[str, str]
) -> None:
    assert executions(quote("98", "99", second=1), no_side) == executed
    assert reasons(quote("98", "99", second=1), no_side) == waiting


def test_a_stale_quote_executes_nothing() -> None:
    assert executions(quote(), is_stale=True) == []
    assert reasons(quote(), is_stale=True) == {"o1": "stale_quote", "o2": "stale_quote"}
    both = reasons(quote("101", "100", sizes=("0", "0")), is_stale=True)
    assert both == {"o1": "stale_quote", "o2": "stale_quote"}


def test_without_a_quote_a_market_order_says_so() -> None:
    limited = open_order(since=3, limit="100")
    assert reasons(orders=(BUY, SELL, limited)) == {"o1": "no_quote", "o2": "no_quote"}


def test_a_limit_order_that_is_not_marketable_waits_for_nothing_but_its_price() -> None:
    orders = (
        open_order("5", since=1, limit="99.99"),
        open_order("5", since=2, limit="100"),
        open_order("5", since=3, limit="99", side=Side.SELL),
        open_order("5", since=4, limit="99.01", side=Side.SELL),
    )
    unsized = quote("99", "100", sizes=("0", "0"))
    assert reasons(unsized, orders=orders) == {"o2": "no_offer", "o3": "no_offer"}
    assert reasons(quote("99", "100"), orders=orders, is_stale=True) == {
        "o2": "stale_quote",
        "o3": "stale_quote",
    }
    assert reasons(quote("99", "100"), orders=orders) == {}


def test_the_rest_of_an_order_waits_for_another_offer() -> None:
    book = OrderBook()
    book.add_order(open_order("10", since=1))
    book.add_order(open_order("10", since=2))
    book.update_quote(quote(sizes=("0", "10")))
    book.match_orders("IBM")
    waiting = [order.order.order_id for order, _ in book.waiting_orders("IBM")]
    assert waiting == ["o2"], "the first one is in flight"


def remaining_ask(*quotes: PriceUpdated) -> str:
    """What is left of the ask if 4 of the first one were executed."""
    market = SymbolMarket()
    market.update_quote(quotes[0])
    market.asks.remaining_size -= 4
    for each in quotes[1:]:
        market.update_quote(each)
    return f"{market.asks.remaining_size.normalize():f}"


def traded(each: PriceUpdated, price: str, volume: str) -> PriceUpdated:
    return msgspec.structs.replace(each, price=Decimal(price), volume=Decimal(volume))


TEN = quote("99", "100", sizes=("10", "10"))


def test_an_unchanged_offer_is_the_same_whatever_its_timestamp() -> None:
    for second in (5.0, 0.0, -5.0):
        again = msgspec.structs.replace(TEN, timestamp=quote(second=second).timestamp)
        assert remaining_ask(TEN, again) == "6"


def test_a_changed_price_or_size_is_another_offer() -> None:
    for changed in (
        quote("99", "100.01", sizes=("10", "10")),
        quote("99", "100", sizes=("10", "9")),
        quote("99", "100", sizes=("10", "11")),
    ):
        assert remaining_ask(TEN, changed) == str(changed.ask_size)
        assert remaining_ask(TEN, changed, TEN) == "10"


def test_a_change_of_the_other_side_renews_nothing() -> None:
    assert remaining_ask(TEN, quote("98", "100", sizes=("7", "10"))) == "6"


def test_an_offer_that_others_took_and_that_is_still_there_is_another_one() -> None:
    assert remaining_ask(TEN, traded(TEN, "100", "300")) == "10"
    assert remaining_ask(TEN, traded(TEN, "100.01", "300")) == "10", "through the offer"
    assert remaining_ask(TEN, traded(TEN, "99", "300")) == "6", "the bid was taken"
    assert remaining_ask(TEN, traded(TEN, "100", "0")) == "6", "no trade was reported"
    once = traded(TEN, "100", "300")
    assert remaining_ask(TEN, once, once) == "10"
    assert remaining_ask(once, traded(TEN, "100", "200")) == "10", "a new day has begun"
    assert remaining_ask(TEN, traded(TEN, "99", "300"), traded(TEN, "100", "400")) == "10"


def test_a_trade_before_an_offer_was_consumed_does_not_renew_it_later() -> None:
    market = SymbolMarket()
    market.update_quote(TEN)
    market.update_quote(traded(TEN, "100", "300"))
    market.asks.remaining_size -= 4
    market.update_quote(traded(TEN, "100", "300"))
    assert market.asks.remaining_size == 6
