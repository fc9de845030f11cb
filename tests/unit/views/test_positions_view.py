"""The view of a user's positions: its contents, its sums, and exact checkpoints."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.events import (
    CODEC,
    Position,
    PositionChanged,
    PositionClosed,
    PositionEvent,
    PositionOpened,
    PositionValued,
)
from tapewire.views import PositionsView, View
from tapewire.views.positions import MAX_CLOSED_POSITIONS, sum_exact, value_position

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def position(symbol: str, quantity: str, cost: str = "0", realized: str = "0") -> Position:
    held = Decimal(quantity)
    return Position(
        symbol=symbol,
        quantity=held,
        cost_basis=Decimal(cost),
        entry_price=Decimal(cost) / held if held else None,
        realized_pnl=Decimal(realized),
        fees=Decimal(0),
        timestamp=START,
    )


def opened(symbol: str, quantity: str = "10", realized: str = "0") -> PositionEvent:
    held = position(symbol, quantity, "1000", realized)
    return PositionOpened(position=held, trade_id="t", trade_sequence=1)


def changed(symbol: str, quantity: str = "20") -> PositionEvent:
    held = position(symbol, quantity, "2000")
    return PositionChanged(position=held, trade_id="t", trade_sequence=2)


def closed(symbol: str, realized: str = "5") -> PositionEvent:
    none = position(symbol, "0", realized=realized)
    return PositionClosed(position=none, trade_id="t", trade_sequence=3, realized=Decimal(realized))


def fold(*events: PositionEvent) -> PositionsView:
    view = PositionsView()
    for event in events:
        view.apply(event)
    return view


def positions_of(view: PositionsView) -> list[str]:
    return [f"{one.symbol} {one.quantity}" for one in view.positions()]


def test_the_view_implements_the_port() -> None:
    view: View = PositionsView()
    assert view.domain == "positions"
    assert view.encode() == b'{"positions":[],"forgotten":{}}'


def test_the_position_that_changed_last_is_last_with_its_current_state() -> None:
    assert positions_of(fold(opened("IBM"), opened("SPY"))) == ["IBM 10", "SPY 10"]
    assert positions_of(fold(opened("IBM"), opened("SPY"), changed("IBM"))) == ["SPY 10", "IBM 20"]
    assert positions_of(fold(opened("IBM"), closed("IBM"), opened("SPY"))) == ["IBM 0", "SPY 10"]
    assert positions_of(fold(opened("IBM"), closed("IBM"), opened("IBM", "-3"))) == ["IBM -3"]


def test_old_closed_positions_are_removed_and_open_ones_kept() -> None:
    many = [f"S{number}" for number in range(MAX_CLOSED_POSITIONS + 50)]
    opens, closes = map(opened, many), [closed(one) for one in many if one != "S7"]
    view = fold(*opens, *closes)
    assert len(view.positions()) == MAX_CLOSED_POSITIONS + 1
    assert positions_of(view)[0] == "S7 10"
    assert positions_of(view)[1] == "S50 0"
    assert view.position("S7") is not None
    assert view.position("S8") is None


def test_realized_pnl_of_removed_positions_counts_once() -> None:
    many = [f"S{number}" for number in range(MAX_CLOSED_POSITIONS + 50)]
    view = fold(*map(closed, many))
    assert view.realized_pnl == 5 * len(many)
    again = fold(*map(closed, many), opened("S0", realized="5"), closed("S0", "7"))
    assert again.realized_pnl == 5 * len(many) + 2


def test_other_events_are_ignored() -> None:
    view = fold(opened("IBM"))
    view.apply(
        PositionValued(
            symbol="IBM",
            quantity=Decimal(0),
            entry_price=None,
            current_price=Decimal(1),
            unrealized_pnl=Decimal(0),
            realized_pnl=Decimal(9),
            timestamp=START,
        )
    )
    assert positions_of(view) == ["IBM 10"]


@pytest.mark.parametrize(
    ("quantity", "cost", "price", "value", "unrealized"),
    [
        ("10", "1000", "103", "1030", "30"),
        ("10", "1000", "97", "970", "-30"),
        ("-10", "-1000", "97", "-970", "30"),
        ("-10", "-1000", "103", "-1030", "-30"),
        ("0", "0", "103", "0", "0"),
        ("3", "301", "100.333333", "300.999999", "-0.000001"),
        ("0.000000001", "0.0000001", "100", "0", "0"),
    ],
)
def test_a_position_is_valued_at_the_price(
    quantity: str, cost: str, price: str, value: str, unrealized: str
) -> None:
    found = value_position(position("IBM", quantity, cost), Decimal(price))
    assert (str(found.value), str(found.unrealized_pnl)) == (value, unrealized)


def test_a_sum_is_exact_and_without_exponent() -> None:
    assert str(sum_exact([Decimal("1E+3"), Decimal("0.10"), Decimal("-0.1")])) == "1000"
    assert str(sum_exact([Decimal(10) ** 30, Decimal("1E-18")])) == f"1{'0' * 30}.{'0' * 17}1"
    assert str(sum_exact([])) == "0"


def test_numbers_are_restored_exactly() -> None:
    gained = position("IBM", "0", realized="12345678901234567890.123456789012345678")
    event = PositionClosed(
        position=gained, trade_id="t", trade_sequence=3, realized=gained.realized_pnl
    )
    again = PositionsView.decode(fold(event).encode())
    assert str(again.positions()[0].realized_pnl) == "12345678901234567890.123456789012345678"
    assert again.realized_pnl == gained.realized_pnl


@st.composite
def histories(draw: st.DrawFn) -> list[PositionEvent]:
    symbols = st.integers(0, MAX_CLOSED_POSITIONS + 20).map(lambda number: f"S{number}")
    kinds = st.sampled_from([opened, changed, closed])
    return [
        kind(symbol) for kind, symbol in draw(st.lists(st.tuples(kinds, symbols), max_size=300))
    ]


@settings(max_examples=40, deadline=None)
@given(histories(), st.data())
def test_a_view_restored_at_any_point_continues_like_the_original(
    events: list[PositionEvent], data: st.DataObject
) -> None:
    events = [*(closed(f"S{number}", "1") for number in range(MAX_CLOSED_POSITIONS)), *events]
    point = data.draw(st.integers(0, len(events)))
    straight = fold(*events)
    resumed = PositionsView.decode(fold(*events[:point]).encode())
    for event in events[point:]:
        resumed.apply(event)
    assert resumed.positions() == straight.positions()
    assert resumed.realized_pnl == straight.realized_pnl
    assert CODEC.decode(resumed.encode(), dict) == CODEC.decode(straight.encode(), dict)
