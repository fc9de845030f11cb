"""Which resting orders a quote fills, how far, and in which order."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.brokers import OpenOrder
from tapewire.events import OrderStatus, PriceUpdated, QuotedOffer, Side
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity
from tapewire_services.orders.domain.order_book import OrderBook
from tapewire_services.orders.domain.proposals import PendingExecution
from tests.harness.order_builders import open_order, quote


class Market:
    """A book whose executions are filled immediately."""

    def __init__(self, *orders: OpenOrder) -> None:
        self.book = OrderBook()
        self.sequence = 1000
        for order in orders:
            self.book.add_order(order)

    def on(self, new: PriceUpdated) -> list[str]:
        """The executions of a quote, each as ``order qty@price``."""
        self.book.update_quote(new)
        return self.match(new.symbol)

    def match(self, symbol: str = "IBM") -> list[str]:
        executions = self.book.match_orders(symbol)
        for execution in executions:
            self.settle(execution)
        return [describe(execution) for execution in executions]

    def settle(self, execution: PendingExecution) -> None:
        self.sequence += 1
        self.book.update_order(filled(execution, self.sequence))
        self.book.settle_execution(execution, is_filled=True)


def describe(execution: PendingExecution) -> str:
    return f"{execution.open_order.order.order_id} {execution.qty}@{execution.price}"


def filled(execution: PendingExecution, sequence: int) -> OpenOrder:
    order = execution.open_order.order
    qty = order.filled_qty + execution.qty
    status = OrderStatus.FILLED if qty == order.qty else OrderStatus.PARTIALLY_FILLED
    after = msgspec.structs.replace(order, filled_qty=qty, status=status)
    return msgspec.structs.replace(execution.open_order, order=after, sequence=sequence)


def canceled(open_: OpenOrder, sequence: int) -> OpenOrder:
    order = msgspec.structs.replace(open_.order, status=OrderStatus.CANCELED)
    return msgspec.structs.replace(open_, order=order, sequence=sequence)


def test_a_market_order_fills_at_the_ask() -> None:
    buy, sell = open_order(since=1), open_order(since=2, side=Side.SELL)
    assert Market(buy, sell).on(quote("99", "100")) == ["o1 10@100", "o2 10@99"]


def offer(number: int, size: str, volume: str = "0") -> QuotedOffer:
    return QuotedOffer(number=number, size=Decimal(size), volume=Decimal(volume))


def consumed(qty: str, *, price: str = "100", size: str | None = "10") -> ConsumedLiquidity:
    """What was bought of the seventh ask."""
    return ConsumedLiquidity(
        symbol="IBM",
        side=Side.BUY,
        price=Decimal(price),
        offer=None if size is None else offer(7, size),
        qty=Decimal(qty),
    )


def restored(liquidity: ConsumedLiquidity, *orders: OpenOrder) -> Market:
    """The market of a broker that takes over after `liquidity` was consumed."""
    market = Market()
    market.book.restore_consumed_liquidity([liquidity])
    for order in orders:
        market.book.add_order(order)
    return market


def test_liquidity_consumed_before_the_book_existed_is_not_available() -> None:
    market = restored(
        consumed("7"), open_order("10", since=1), open_order("10", since=2, side=Side.SELL)
    )
    assert market.on(quote(sizes=("10", "10"))) == ["o1 3@100", "o2 10@99"]
    assert market.on(quote(sizes=("10", "10"), second=2)) == [], "the same offers"
    assert market.on(quote(sizes=("10", "11"), second=3)) == ["o1 7@100"]


def test_liquidity_consumed_from_another_offer_does_not_count() -> None:
    for before in (consumed("10", price="99.9"), consumed("10", size="11")):
        market = restored(before, open_order("10"))
        assert market.on(quote(sizes=("10", "10"))) == ["o1 10@100"]


def test_liquidity_that_old_fills_consumed_at_the_price_counts_for_any_size() -> None:
    market = restored(consumed("7", size=None), open_order("10"))
    assert market.on(quote(sizes=("10", "10"))) == ["o1 3@100"]


def test_offers_are_numbered_on_from_those_of_the_last_broker() -> None:
    """The fold of fills takes the highest number for the newest offer."""
    for offered, number in (("10", 7), ("12", 8)):
        market = restored(consumed("1"), open_order("2"))
        market.book.update_quote(quote(sizes=("10", offered)))
        [execution] = market.book.match_orders("IBM")
        assert execution.offer == offer(number, offered)


def test_a_broker_that_takes_over_sees_that_others_took_the_offer() -> None:
    market = restored(consumed("10"), open_order("10"))
    same = quote(sizes=("10", "10"))
    assert market.on(same) == []
    assert market.on(msgspec.structs.replace(same, volume=Decimal(300))) == ["o1 10@100"]


def test_a_changed_offer_is_seen_even_if_no_order_rests_when_it_changes() -> None:
    """Otherwise an offer that comes back later passed for the one that was consumed."""
    market = Market(open_order("10"))
    assert market.on(quote(sizes=("0", "10"))) == ["o1 10@100"]
    assert market.book.needs_quotes("IBM")
    assert market.on(quote(sizes=("0", "7"))) == []
    assert not market.book.needs_quotes("IBM"), "nothing of this offer is consumed"
    market.book.add_order(open_order("10", since=2))
    assert market.on(quote(sizes=("0", "10"))) == ["o2 10@100"]


def test_a_market_order_waits_for_a_quote() -> None:
    assert Market(open_order()).match() == []


def test_a_crossed_limit_order_fills_at_the_quoted_price_and_not_at_its_limit() -> None:
    market = Market(open_order(limit="100"))
    assert market.on(quote("99", "100.01", second=1)) == []
    assert market.on(quote("99", "99.5", second=2)) == ["o1 10@99.5"]


def test_a_limit_equal_to_the_quote_is_crossed() -> None:
    assert Market(open_order(limit="100")).on(quote("99", "100")) == ["o1 10@100"]
    sell = open_order(limit="99", side=Side.SELL)
    assert Market(sell).on(quote("99", "100")) == ["o1 10@99"]


def test_a_sell_waits_for_the_bid_to_rise() -> None:
    market = Market(open_order(limit="99.5", side=Side.SELL))
    assert market.on(quote("99.49", "101", second=1)) == []
    assert market.on(quote("99.6", "101", second=2)) == ["o1 10@99.6"]


def test_an_order_larger_than_the_quoted_size_is_filled_in_parts() -> None:
    market = Market(open_order("10"))
    assert market.on(quote(sizes=("4", "4"), second=1)) == ["o1 4@100"]
    assert market.match() == [], "the quoted size is consumed"
    assert market.on(quote(ask="101", sizes=("4", "4"), second=2)) == ["o1 4@101"]
    assert market.on(quote(sizes=("4", "4"), second=3)) == ["o1 2@100"]
    assert len(market.book) == 0


def test_an_offer_that_is_quoted_again_brings_no_new_size() -> None:
    """A feed confirms its quotes, and a quote changes when its other side does."""
    market = Market(open_order("10"))
    assert market.on(quote(sizes=("4", "4"))) == ["o1 4@100"]
    assert market.on(quote(sizes=("4", "4"))) == []
    assert market.on(quote(sizes=("4", "4"), second=5)) == []
    assert market.on(quote(sizes=("4.0", "4.0"), second=-5)) == []
    assert market.on(quote(bid="98", sizes=("9", "4"), second=6)) == []


def test_buys_and_sells_consume_separate_sizes() -> None:
    market = Market(open_order("10", since=1), open_order("10", since=2, side=Side.SELL))
    assert market.on(quote(sizes=("3", "4"))) == ["o1 4@100", "o2 3@99"]


def test_earlier_orders_have_priority() -> None:
    market = Market(open_order("3", since=2), open_order("3", since=1), open_order("3", since=3))
    assert market.on(quote(sizes=("0", "7"))) == ["o1 3@100", "o2 3@100", "o3 1@100"]


def test_market_orders_have_priority_over_better_limits_and_those_over_earlier_ones() -> None:
    market = Market(
        open_order("3", since=1, limit="100"),
        open_order("3", since=2, limit="101"),
        open_order("3", since=3, limit="101"),
        open_order("3", since=4),
    )
    assert market.on(quote(sizes=("0", "10"))) == ["o4 3@100", "o2 3@100", "o3 3@100", "o1 1@100"]


def test_lower_sell_limits_have_priority() -> None:
    market = Market(
        open_order("3", since=1, limit="99", side=Side.SELL),
        open_order("3", since=2, limit="98", side=Side.SELL),
    )
    assert market.on(quote(sizes=("4", "0"))) == ["o2 3@99", "o1 1@99"]


def test_an_order_rests_only_once_it_is_accepted() -> None:
    waiting = open_order(is_accepted=False)
    market = Market(waiting)
    assert market.on(quote()) == []
    market.book.update_order(msgspec.structs.replace(waiting, accepted=True, sequence=2))
    assert market.match() == ["o1 10@100"]


def test_an_order_in_flight_is_not_matched_and_others_are() -> None:
    book = OrderBook()
    book.add_order(open_order("10", since=1))
    book.add_order(open_order("10", since=2))
    book.update_quote(quote(sizes=("0", "4"), second=1))
    (first,) = book.match_orders("IBM")
    book.update_quote(quote(sizes=("0", "4"), ask="101", second=2))
    assert [describe(one) for one in book.match_orders("IBM")] == ["o2 4@101"]
    book.update_order(filled(first, 100))
    book.settle_execution(first, is_filled=True)
    book.update_quote(quote(sizes=("0", "9"), second=3))
    assert [describe(one) for one in book.match_orders("IBM")] == ["o1 6@100"]


def test_the_size_of_a_fill_that_lost_to_a_cancel_goes_to_the_next_order() -> None:
    book = OrderBook()
    first, second = open_order("4", since=1), open_order("4", since=2)
    book.add_order(first)
    book.add_order(second)
    book.update_quote(quote(sizes=("0", "4")))
    (flying,) = book.match_orders("IBM")
    book.update_order(canceled(first, 3))
    book.settle_execution(flying, is_filled=False)
    assert [describe(one) for one in book.match_orders("IBM")] == ["o2 4@100"]


def test_the_size_of_an_old_quote_is_not_given_back_after_a_new_one() -> None:
    book = OrderBook()
    book.add_order(open_order("4", since=1))
    book.update_quote(quote(sizes=("0", "4"), second=1))
    (flying,) = book.match_orders("IBM")
    book.update_quote(quote(sizes=("0", "1"), second=2))
    book.settle_execution(flying, is_filled=False)
    assert [describe(one) for one in book.match_orders("IBM")] == ["o1 1@100"]


def test_an_older_state_of_an_order_is_ignored() -> None:
    """The book reads the broker's own events later than it knows of them: a fill that it has taken
    already, and the acceptance of an order that is closed by then."""
    market = Market(open_order("4"))
    assert market.on(quote()) == ["o1 4@100"]
    market.book.update_order(open_order("4"))
    market.book.update_order(msgspec.structs.replace(open_order("4"), sequence=2))
    assert len(market.book) == 0
    assert market.on(quote(second=1)) == []


def test_invalid_prices_and_sizes_are_not_executed() -> None:
    for ask, size in [("1e12", "5"), ("NaN", "5"), ("100", "0"), ("0", "0"), ("100", "NaN")]:
        assert Market(open_order()).on(quote(ask=ask, sizes=("0", size))) == []
    assert Market(open_order()).on(quote(sizes=("0", "0.0000019"))) == ["o1 0.000001@100"]


@pytest.mark.parametrize("ask", ["0", "-37.63", "0.00001234", "1000000.00000001", "15000000"])
def test_orders_execute_at_every_price_that_a_market_has(ask: str) -> None:
    book = OrderBook()
    book.add_order(open_order())
    book.update_quote(quote("-40", ask, sizes=("10", "10")))
    [execution] = book.match_orders("IBM")
    assert execution.price == Decimal(ask)


def test_symbols_are_matched_separately() -> None:
    market = Market(open_order(since=1), open_order(since=2, symbol="SPY"))
    assert market.on(quote(symbol="SPY")) == ["o2 10@100"]
    assert [one.order.order_id for one, _ in market.book.waiting_orders("IBM")] == ["o1"]
    assert not market.book.has_waiting_orders("SPY")


prices = st.integers(95, 105).map(str)
sizes = st.integers(0, 30).map(str)


@st.composite
def order_lists(draw: st.DrawFn) -> list[OpenOrder]:
    return [
        open_order(
            draw(st.integers(1, 40).map(str)),
            since=since,
            limit=draw(st.none() | prices),
            side=draw(st.sampled_from(Side)),
        )
        for since in range(1, draw(st.integers(1, 12)))
    ]


@examples(order_lists(), st.lists(st.tuples(prices, sizes, sizes), max_size=20))
def test_neither_a_quoted_size_nor_an_order_is_exceeded(
    orders: list[OpenOrder], quotes: list[tuple[str, str, str]]
) -> None:
    market = Market(*orders)
    filled_by_order = {open_.order.order_id: Decimal(0) for open_ in orders}
    for second, (price, bid_size, ask_size) in enumerate(quotes):
        market.book.update_quote(quote(price, price, sizes=(bid_size, ask_size), second=second))
        given_out = {Side.BUY: Decimal(0), Side.SELL: Decimal(0)}
        for execution in market.book.match_orders("IBM"):
            order = execution.open_order.order
            given_out[order.side] += execution.qty
            filled_by_order[order.order_id] += execution.qty
            limit = order.limit_price
            if limit is not None:
                assert (
                    execution.price <= limit if order.side is Side.BUY else execution.price >= limit
                )
            market.settle(execution)
        assert given_out[Side.BUY] <= Decimal(ask_size)
        assert given_out[Side.SELL] <= Decimal(bid_size)
    assert all(filled_by_order[open_.order.order_id] <= open_.order.qty for open_ in orders)
