"""Orders, quotes and positions as the trading streams and the REST API show them.

The views of single values, and the messages that are sent as snapshots or as conflated values.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from tapewire.events import Order, Position, PositionValued, PriceUpdated
from tapewire.payloads.market import PriceView, QuoteView
from tapewire.payloads.positions import (
    AccountFigures,
    AccountView,
    PositionsPayload,
    PositionsSnapshotPayload,
    PositionView,
)
from tapewire.payloads.trading import ClientCount, ConnectionCountsPayload, OrdersSnapshotPayload
from tapewire.views.positions import value_position
from tapewire_services.edge.delivery.serializers.serializer import SseMessage


class InitialPrices(msgspec.Struct, frozen=True, kw_only=True):
    """The prices that a stream begins with. `symbols` were asked for, None: all. `unknown` are
    those of them that have no quote."""

    quotes: Sequence[QuoteView]
    symbols: Sequence[str] | None
    unknown: Sequence[str]
    timestamp: datetime


class ConnectionCounts(Protocol):
    """The connections of all edge processes."""

    @property
    def connection_count(self) -> int: ...

    @property
    def user_count(self) -> int: ...

    @property
    def connections_per_user(self) -> Mapping[str, int]: ...


def price_view(quote: PriceUpdated) -> PriceView:
    """`quote` as clients see it."""
    return PriceView(**_quote_fields(quote))


def quote_view(quote: PriceUpdated, age: float, *, is_stale: bool) -> QuoteView:
    """`quote`, which was confirmed `age` seconds ago, as clients see it."""
    return QuoteView(**_quote_fields(quote), age=round(age, 3), stale=is_stale)


def _quote_fields(quote: PriceUpdated) -> dict[str, Any]:
    fields = {name: getattr(quote, name) for name in PriceView.__struct_fields__}
    if not (quote.bid or quote.bid_size):
        fields["bid"] = None
    if not (quote.ask or quote.ask_size):
        fields["ask"] = None
    return fields


def position_view(
    position: Position, price: Decimal | None, *, is_stale: bool = False
) -> PositionView:
    """`position` as clients see it, valued at `price`."""
    valued = value_position(position, price) if position.quantity and price is not None else None
    return PositionView(
        symbol=position.symbol,
        quantity=position.quantity,
        entry_price=position.entry_price,
        current_price=price,
        unrealized_pnl=valued.unrealized_pnl
        if valued
        else None
        if position.quantity
        else Decimal(0),
        realized_pnl=position.realized_pnl,
        stale=bool(valued) and is_stale,
    )


def valuation_view(valued: PositionValued) -> PositionView:
    """A valuation as clients see it."""
    return PositionView(
        symbol=valued.symbol,
        quantity=valued.quantity,
        entry_price=valued.entry_price,
        current_price=valued.current_price,
        unrealized_pnl=valued.unrealized_pnl,
        realized_pnl=valued.realized_pnl,
    )


def orders_snapshot_message(orders: Sequence[Order], timestamp: datetime) -> SseMessage:
    """All orders of a user."""
    payload = OrdersSnapshotPayload(snapshot=True, orders=orders, timestamp=timestamp)
    return "order:update", payload


def positions_snapshot_message(
    positions: Sequence[PositionView], total_value: Decimal, timestamp: datetime
) -> SseMessage:
    """All positions of a user, and their value in dollars."""
    payload = PositionsSnapshotPayload(
        positions=positions, total_value=total_value, timestamp=timestamp
    )
    return "position:update", payload


def positions_message(
    positions: Sequence[PositionView], total_value: Decimal | None, timestamp: datetime
) -> SseMessage:
    """Positions that changed, and the value of all positions in dollars."""
    payload = PositionsPayload(positions=positions, total_value=total_value, timestamp=timestamp)
    return "position:update", payload


def account_view(figures: AccountFigures, as_of: str, timestamp: datetime) -> AccountView:
    """`figures` as clients see them."""
    fields = {name: getattr(figures, name) for name in AccountFigures.__struct_fields__}
    return AccountView(**fields, as_of=as_of, timestamp=timestamp)


def account_message(account: AccountView) -> SseMessage:
    """The account of a user."""
    return "account:update", account


def connection_counts_message(
    totals: ConnectionCounts, timestamp: datetime, *, include_users: bool
) -> SseMessage:
    """The event with `connection_counts_payload`."""
    return "metrics", connection_counts_payload(totals, timestamp, include_users=include_users)


def connection_counts_payload(
    totals: ConnectionCounts, timestamp: datetime, *, include_users: bool
) -> ConnectionCountsPayload:
    """How many clients are connected to all processes; with `include_users`, also whose."""
    per_user = [
        ClientCount(user_id=user, client_count=count)
        for user, count in sorted(totals.connections_per_user.items())
    ]
    return ConnectionCountsPayload(
        timestamp=timestamp,
        total_clients=totals.connection_count,
        total_users=totals.user_count,
        clients_per_user=per_user if include_users else msgspec.UNSET,
    )
