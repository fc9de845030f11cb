"""Builders for tests of positions: trades, quotes, and histories.

A test of the decider reads `given(trades).when(trade).then(lines)`. ``buy("10", "100")`` is a
trade, and `describe_event` turns an event into such a line.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from tapewire.events import Event, PositionClosed, PositionEvent, PriceUpdated, Side, TradeExecuted
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    State,
    TradedState,
    build_trade_command,
)

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
USER = "alice"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def trade(
    side: Side, qty: str, price: str, fee: str = "0", *, symbol: str = "IBM", number: int = 1
) -> TradeExecuted:
    return TradeExecuted(
        trade_id=f"t{number}",
        order_id=f"o{number}",
        symbol=symbol,
        side=side,
        qty=Decimal(qty),
        price=Decimal(price),
        strategy_id=None,
        timestamp=at(number),
        fee=Decimal(fee),
    )


def buy(qty: str, price: str, fee: str = "0") -> TradeExecuted:
    return trade(Side.BUY, qty, price, fee)


def sell(qty: str, price: str, fee: str = "0") -> TradeExecuted:
    return trade(Side.SELL, qty, price, fee)


def describe_event(event: Event) -> str:
    """The event on one line: its kind, the quantity, its average price, and the realized gain."""
    assert isinstance(event, PositionEvent)
    position = event.position
    held = "nothing" if position.entry_price is None else f"{position.quantity}"
    line = f"{type(event).__name__.removeprefix('Position').lower()}: {held}"
    if position.entry_price is not None:
        line += f" @ {position.entry_price:f}"
    if position.realized_pnl:
        line += f", realized {position.realized_pnl:f}"
    if position.fees:
        line += f", fees {position.fees:f}"
    return line + (f" (by this {event.realized:f})" if isinstance(event, PositionClosed) else "")


class Given:
    """A history of trades of one user in one symbol, numbered from 1."""

    def __init__(self, trades: tuple[TradeExecuted, ...]) -> None:
        self.state: State = POSITION_DECIDER.initial_state
        self.events: list[Event] = []
        self.trades: list[TradeExecuted] = []
        self.trade_number = 0
        for one in trades:
            self.apply_trade(one)

    def apply_trade(
        self, trade_event: TradeExecuted, trade_number: int | None = None
    ) -> list[Event]:
        """Apply a trade. An earlier `trade_number` repeats that trade."""
        self.trade_number += trade_number is None
        trade_number = trade_number or self.trade_number
        numbered = msgspec.structs.replace(
            trade_event, trade_id=f"t{trade_number}", timestamp=at(trade_number)
        )
        if trade_number > len(self.trades):
            self.trades.append(numbered)
        command = build_trade_command(f"e{trade_number}", USER, trade_number, numbered)
        new_events = [one.event for one in POSITION_DECIDER.decide(self.state, command)]
        for event in new_events:
            self.state = POSITION_DECIDER.evolve(self.state, event)
        self.events += new_events
        return new_events

    def when(self, trade_event: TradeExecuted, trade_number: int | None = None) -> "When":
        return When(self.apply_trade(trade_event, trade_number), self)

    @property
    def traded_state(self) -> TradedState:
        assert isinstance(self.state, TradedState), "no trade yet"
        return self.state


class When:
    def __init__(self, new_events: list[Event], history: Given) -> None:
        self.new_events = new_events
        self._history = history

    def then(self, *lines: str) -> Given:
        assert [describe_event(event) for event in self.new_events] == [*lines]
        return self._history


def given(*trades: TradeExecuted) -> Given:
    return Given(trades)


def quote(price: str, *, symbol: str = "IBM", second: float = 0) -> PriceUpdated:
    return PriceUpdated(
        symbol=symbol,
        price=Decimal(price),
        bid=Decimal(price),
        ask=Decimal(price),
        bid_size=Decimal(100),
        ask_size=Decimal(100),
        volume=Decimal(0),
        change=Decimal(0),
        change_percent=Decimal(0),
        timestamp=at(second),
    )
