"""Folding ticks into the top of the book, and building quotes from it."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce

from hypothesis import example, given
from hypothesis import strategies as st

from tapewire.decimals import percent_change
from tapewire.events import PriceUpdated
from tapewire.feeds import ValidTick
from tapewire_services.prices.domain import TopOfBook, apply_tick, build_price_updated

AT = datetime(2024, 5, 6, 13, 30, tzinfo=UTC)


def tick(**values: str) -> ValidTick:
    return ValidTick(symbol="IBM", **{name: Decimal(text) for name, text in values.items()})


def folded(*ticks: ValidTick) -> TopOfBook:
    return reduce(apply_tick, ticks, TopOfBook(symbol="IBM"))


def quoted(*ticks: ValidTick) -> PriceUpdated:
    published = build_price_updated(folded(*ticks), AT)
    assert published is not None
    return published


BID = tick(bid="181.85", bid_size="200")
ASK = tick(ask="182.06", ask_size="100")


def test_both_sides_and_a_trade_make_a_full_quote() -> None:
    assert quoted(BID, ASK, tick(last="181.90", last_size="600")) == PriceUpdated(
        symbol="IBM",
        price=Decimal("181.90"),
        bid=Decimal("181.85"),
        ask=Decimal("182.06"),
        bid_size=Decimal(200),
        ask_size=Decimal(100),
        volume=Decimal(600),
        change=Decimal("-0.055"),
        change_percent=Decimal("-0.0302"),
        timestamp=AT,
    )


def test_nothing_is_published_before_both_sides_are_known() -> None:
    assert build_price_updated(folded(), AT) is None
    assert build_price_updated(folded(BID), AT) is None
    assert build_price_updated(folded(ASK), AT) is None
    assert build_price_updated(folded(tick(last="182", last_size="5")), AT) is None
    assert build_price_updated(folded(BID, tick(last="182", last_size="5")), AT) is None


def test_earlier_trades_count_for_volume_and_opening_price() -> None:
    published = quoted(tick(last="200", last_size="5"), tick(last="201", last_size="7"), BID, ASK)
    assert published.volume == 12
    assert published.price == 201
    assert published.change == 1
    assert published.change_percent == Decimal("0.5000")


def test_before_any_trade_the_price_is_the_mid_price() -> None:
    published = quoted(BID, ASK)
    assert published.price == Decimal("181.955")
    assert {published.change, published.change_percent, published.volume} == {Decimal(0)}


def test_the_opening_price_stays_after_the_first_trade() -> None:
    """The base of the change stays the same after the first trade."""
    assert folded(BID, ASK, tick(last="190", last_size="1")).opening_price == Decimal("181.955")


def test_a_missing_side_keeps_its_value() -> None:
    published = quoted(BID, ASK, tick(ask="182.00"), tick(bid_size="900"))
    assert (published.bid, published.bid_size) == (Decimal("181.85"), Decimal(900))
    assert (published.ask, published.ask_size) == (Decimal("182.00"), Decimal(100))


def test_a_side_without_a_size_has_size_0() -> None:
    assert quoted(tick(bid="10"), tick(ask="11", ask_size="5")).bid_size == 0


def test_a_trade_without_a_size_changes_the_price_only() -> None:
    published = quoted(BID, ASK, tick(last="182.01"))
    assert (published.price, published.volume) == (Decimal("182.01"), Decimal(0))


def test_change_percent_has_four_decimal_places() -> None:
    published = quoted(tick(last="3"), BID, ASK, tick(last="4"))
    assert str(published.change_percent) == "33.3333"


@given(
    st.decimals("-999999999999.99999999", "999999999999.99999999", places=8),
    st.decimals("-999999999999.99999999", "999999999999.99999999", places=8),
)
@example(Decimal(0), Decimal(5))
def test_change_percent_is_that_of_producers(first: Decimal, last: Decimal) -> None:
    published = quoted(BID, ASK, ValidTick(symbol="IBM", last=last, day_open=first))
    assert str(published.change_percent) == str(percent_change(first, last))


PRICES = st.none() | st.decimals("0.000001", "999999999", places=6)
SIZES = st.none() | st.decimals(0, 999999999, places=6)
TICKS = st.builds(
    ValidTick,
    symbol=st.just("IBM"),
    bid=PRICES,
    bid_size=SIZES,
    ask=PRICES,
    ask_size=SIZES,
    last=PRICES,
    last_size=SIZES,
)


@given(st.lists(TICKS, max_size=40))
def test_volume_is_the_exact_sum_of_trades_and_quotes_are_complete(
    ticks: list[ValidTick],
) -> None:
    """Numbers that the parser accepts cannot overflow the arithmetic."""
    book = folded(*ticks)
    assert book.volume == sum((t.last_size for t in ticks if t.last_size is not None), Decimal(0))
    published = build_price_updated(book, AT)
    sides = any(t.bid is not None for t in ticks) and any(t.ask is not None for t in ticks)
    assert (published is not None) == sides
    if published is not None:
        assert published.change_percent.as_tuple().exponent == -4
        assert published.change == published.price - (book.opening_price or 0)
