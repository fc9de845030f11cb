"""Builders for tests of positions: trades, quotes, and histories.

A test of the decider reads `given(trades).when_traded(trade).then(lines)`. ``buy("10", "100")`` is
a trade, and `describe_event` turns an event into such a line.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Self

import msgspec

from tapewire.events import PositionClosed, PositionEvent, PriceUpdated, Side, TradeExecuted
from tapewire.log import NewEvent
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    ApplyTradeCommand,
    Command,
    State,
    TradedState,
    build_trade_command,
)
from tests.harness.command_history import CommandHistory, PendingCommand

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


def describe_event(new_event: NewEvent) -> str:
    """The event on one line: its kind, the quantity, its average price, and the realized gain."""
    event = new_event.event
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


class PositionHistory(CommandHistory[State, Command]):
    """The trades of one user in one symbol, numbered from 1."""

    decider = POSITION_DECIDER
    describe = staticmethod(describe_event)

    def __init__(self, trades: Iterable[TradeExecuted]) -> None:
        super().__init__()
        self.trades: list[TradeExecuted] = []
        for one in trades:
            self.apply_trade(one)

    def apply_trade(self, trade_event: TradeExecuted, number: int | None = None) -> list[NewEvent]:
        """Apply the next trade, or trade `number` again."""
        return self.decide(self._build_command(trade_event, number))

    def when_traded(
        self, trade_event: TradeExecuted, number: int | None = None
    ) -> PendingCommand[Self, Command]:
        """As `when`, for the next trade, or trade `number` again."""
        return self.when(self._build_command(trade_event, number))

    def _build_command(self, trade_event: TradeExecuted, number: int | None) -> ApplyTradeCommand:
        is_next = number is None
        number = len(self.trades) + 1 if number is None else number
        numbered = msgspec.structs.replace(trade_event, trade_id=f"t{number}", timestamp=at(number))
        if is_next:
            self.trades.append(numbered)
        return build_trade_command(f"e{number}", USER, number, numbered)

    @property
    def traded_state(self) -> TradedState:
        assert isinstance(self.state, TradedState), "no trade yet"
        return self.state


def given(*trades: TradeExecuted) -> PositionHistory:
    return PositionHistory(trades)


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
