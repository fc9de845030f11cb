"""The account: cash and equity against an independent calculation, and what orders may add."""

import itertools
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.events import (
    Order,
    OrderStatus,
    OrderTerms,
    OrderType,
    PositionEvent,
    Side,
)
from tapewire.views import PositionsView
from tapewire.views.account import (
    AccountTerms,
    HeldQuantity,
    available_power,
    potential_exposure,
    value_account,
)
from tapewire.views.positions import MAX_CLOSED_POSITIONS
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    State,
    build_trade_command,
)
from tests.harness.position_builders import trade

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
TERMS = AccountTerms(starting_balance=Decimal("100000.01"))
SYMBOLS = ("IBM", "SPY", "OIL")

Traded = tuple[str, Side, str, str, str]
"""Symbol, side, quantity, price and fee."""


def fold(trades: list[Traded], view: PositionsView | None = None) -> PositionsView:
    """The view after `trades`, decided as the positions service does."""
    view = PositionsView() if view is None else view
    states: dict[str, State] = {}
    for number, (symbol, side, qty, price, fee) in enumerate(trades, 1):
        made = trade(side, qty, price, fee, symbol=symbol, number=number)
        command = build_trade_command(f"e{number}", "alice", number, made)
        state = states.get(symbol, POSITION_DECIDER.initial_state)
        for new_event in POSITION_DECIDER.decide(state, command):
            state = POSITION_DECIDER.evolve(state, new_event.event)
            assert isinstance(new_event.event, PositionEvent)
            view.apply(new_event.event)
        states[symbol] = state
    return view


def amounts(lowest: int, highest: int, places: int) -> st.SearchStrategy[str]:
    return st.integers(lowest, highest).map(lambda units: str(Decimal(units).scaleb(-places)))


TRADES = st.lists(
    st.tuples(
        st.sampled_from(SYMBOLS),
        st.sampled_from(list(Side)),
        amounts(1, 10**10, 9),
        amounts(-(10**6), 10**9, 6),
        amounts(-(10**4), 10**5, 4),
    ),
    max_size=30,
)
PRICES = st.fixed_dictionaries(
    {symbol: st.none() | amounts(-(10**6), 10**9, 6).map(Decimal) for symbol in SYMBOLS}
)


@settings(max_examples=150, deadline=None)
@given(TRADES, PRICES, st.sets(st.sampled_from(SYMBOLS)))
def test_an_account_is_what_was_received_less_what_was_paid(
    trades: list[Traded], prices: dict[str, Decimal | None], stale: set[str]
) -> None:
    """Longs, shorts, flips, fees, rebates and negative prices, against fractions. What a position
    without a price cost is known exactly only from the fold, so equity is compared with prices."""
    cash = Fraction(TERMS.starting_balance)
    fees, held = Fraction(0), dict.fromkeys(SYMBOLS, Fraction(0))
    for symbol, side, qty, price, fee in trades:
        signed = Fraction(qty) * (1 if side is Side.BUY else -1)
        cash -= signed * Fraction(price) + Fraction(fee)
        fees += Fraction(fee)
        held[symbol] += signed
    view = fold(trades)
    found = value_account(view, TERMS, prices.__getitem__, stale.__contains__)
    assert (Fraction(found.cash), found.fees and Fraction(found.fees)) == (cash, fees)
    is_open = [symbol for symbol in SYMBOLS if held[symbol]]
    assert found.unpriced == sum(prices[symbol] is None for symbol in is_open)
    assert found.is_stale == any(prices[one] is None or one in stale for one in is_open)
    if not found.unpriced:
        values = [held[symbol] * Fraction(prices[symbol] or 0) for symbol in is_open]
        step = Fraction(1, 10**6)
        assert abs(Fraction(found.equity) - cash - sum(values)) <= step / 2
        assert abs(Fraction(found.net_exposure) - sum(values)) <= step / 2
        assert abs(Fraction(found.gross_exposure) - sum(map(abs, values))) <= step / 2
        gain = Fraction(found.realized_pnl) + Fraction(found.unrealized_pnl)
        assert abs(Fraction(found.equity) - Fraction(TERMS.starting_balance) - gain) <= step
    again = value_account(
        PositionsView.decode(view.encode()), TERMS, prices.__getitem__, stale.__contains__
    )
    assert again == found


def test_positions_without_a_price_count_at_their_cost_and_are_counted() -> None:
    view = fold(
        [
            ("IBM", Side.BUY, "10", "100", "1"),
            ("SPY", Side.SELL, "2", "50", "0"),
        ]
    )
    found = value_account(view, TERMS, lambda _: None, lambda _: False)
    assert (found.unpriced, found.is_stale) == (2, True)
    assert str(found.cash) == "99099.01"
    assert str(found.equity) == "99999.01"
    assert (str(found.gross_exposure), str(found.net_exposure)) == ("1100", "900")
    assert str(found.unrealized_pnl) == "0"


def test_nothing_is_stale_of_an_account_without_positions() -> None:
    found = value_account(PositionsView(), TERMS, lambda _: None, lambda _: True)
    assert (found.is_stale, found.unpriced, str(found.equity)) == (False, 0, "100000.01")


def test_fees_and_profits_of_dropped_positions_count_once() -> None:
    """Also when their symbols are traded again, and over a checkpoint."""
    many = [f"S{number}" for number in range(MAX_CLOSED_POSITIONS + 50)]
    round_trips: list[Traded] = [
        (symbol, side, "1", price, "0.25")
        for symbol in many
        for side, price in ((Side.BUY, "10"), (Side.SELL, "12"))
    ]
    view = fold(round_trips)
    assert (view.fees, view.realized_pnl) == (
        len(many) * Decimal("0.5"),
        len(many) * Decimal("1.5"),
    )
    restored = PositionsView.decode(view.encode())
    assert (restored.fees, restored.realized_pnl) == (view.fees, view.realized_pnl)
    more = fold([*round_trips, ("S0", Side.BUY, "1", "10", "0.75")])
    assert more.fees == len(many) * Decimal("0.5") + Decimal("0.75")


def test_a_checkpoint_of_an_earlier_version_does_not_make_up_fees() -> None:
    state = b'{"positions":[],"forgotten":{"S0":5}}'
    assert PositionsView.is_of_earlier_version(msgspec.json.decode(state))
    view = PositionsView.decode(state)
    assert view.realized_pnl == 5
    assert view.fees is None
    assert PositionsView.decode(view.encode()).fees is None
    found = value_account(view, TERMS, lambda _: None, lambda _: False)
    assert (found.fees, str(found.cash)) == (None, "100005.01")
    empty = b'{"positions":[],"forgotten":{}}'
    assert not PositionsView.is_of_earlier_version(msgspec.json.decode(empty))
    assert PositionsView.decode(empty).fees == 0


def order(
    side: Side,
    qty: str,
    limit: str | None = None,
    *,
    stop: str | None = None,
    filled: str = "0",
    symbol: str = "IBM",
    status: OrderStatus = OrderStatus.NEW,
    reduce_only: bool = False,
    replacement: OrderTerms | None = None,
) -> Order:
    return Order(
        order_id=f"{side}{qty}{limit}",
        client_order_id="c",
        symbol=symbol,
        side=side,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        qty=Decimal(qty),
        limit_price=None if limit is None else Decimal(limit),
        status=status,
        filled_qty=Decimal(filled),
        filled_avg_price=None,
        strategy_id=None,
        reason=None,
        timestamp=START,
        stop_price=None if stop is None else Decimal(stop),
        reduce_only=reduce_only,
        replacement=replacement,
    )


@settings(max_examples=150, deadline=None)
@given(
    st.integers(-20, 20),
    st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 15)), max_size=6),
)
def test_no_order_of_executions_exceeds_the_potential_exposure(
    qty: int, orders: list[tuple[Side, int]]
) -> None:
    """At one price it is exactly the largest exposure that any of the orders together reach."""
    signed = [size if side is Side.BUY else -size for side, size in orders]
    reachable = max(
        abs(qty + sum(some))
        for count in range(len(signed) + 1)
        for some in itertools.combinations(signed, count)
    )
    holdings = {"IBM": HeldQuantity(Decimal(qty), Decimal(qty) * 9)} if qty else {}
    placed = [order(side, str(size)) for side, size in orders]
    assert potential_exposure(holdings, placed, lambda _: Decimal(10)) == reachable * 10


@pytest.mark.parametrize(
    ("held", "orders", "expected"),
    [
        ("0", [order(Side.BUY, "5", "90")], "450"),
        ("0", [order(Side.SELL, "5", "90")], "500"),
        ("0", [order(Side.SELL, "5", "110")], "550"),
        ("0", [order(Side.BUY, "5", stop="120")], "600"),
        ("10", [order(Side.SELL, "10", "500")], "1000"),
        ("10", [order(Side.SELL, "10", "100"), order(Side.SELL, "10", "300")], "3000"),
        ("10", [order(Side.BUY, "5", "100", filled="3")], "1200"),
        ("-10", [order(Side.BUY, "25", "100")], "1500"),
        ("0", [order(Side.BUY, "5", "100", status=OrderStatus.CANCELED)], "0"),
        ("0", [order(Side.SELL, "5", "100", reduce_only=True)], "0"),
        ("0", [order(Side.BUY, "5", "100", status=OrderStatus.PENDING_CANCEL)], "500"),
        ("0", [order(Side.BUY, "5", "-3")], "15"),
        (
            "0",
            [
                order(
                    Side.BUY,
                    "5",
                    "100",
                    replacement=OrderTerms(
                        qty=Decimal(9), limit_price=Decimal(101), stop_price=None
                    ),
                )
            ],
            "909",
        ),
    ],
)
def test_an_order_counts_at_its_highest_price_unless_it_only_closes(
    held: str, orders: list[Order], expected: str
) -> None:
    qty = Decimal(held)
    holdings = {"IBM": HeldQuantity(qty, qty * 100)} if qty else {}
    assert str(potential_exposure(holdings, orders, lambda _: Decimal(100))) == expected


def test_buying_power_is_what_the_leverage_leaves() -> None:
    view = fold([("IBM", Side.BUY, "1000", "100", "0")])
    terms = AccountTerms.from_settings(100_000.0, 2.0)
    found = value_account(view, terms, lambda _: Decimal(100), lambda _: False)

    def left(*orders: Order, equity: Decimal = found.equity) -> str:
        return str(available_power(view, orders, equity, terms, lambda _: Decimal(100)))

    assert left() == "100000"
    assert left(order(Side.BUY, "10", "100")) == "99000"
    assert left(order(Side.SELL, "1000", "100")) == "100000"
    assert left(order(Side.BUY, "5000", "100")) == "0"
    assert left(equity=Decimal(-1)) == "0"
    no_limit = AccountTerms.from_settings(100_000.0, 0.0)
    assert available_power(view, [], found.equity, no_limit, lambda _: None) is None
