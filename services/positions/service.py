"""The requests that the positions service answers. None of them changes anything."""

import math
from datetime import UTC, datetime
from decimal import Decimal

from tapewire.events import Order, Position
from tapewire.log import CommandRejected, EventLog, LatestValueStore, view_checkpoints
from tapewire.log.list_cursor import check_limit, decode_key, encode_key, page_by_key
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.positions import (
    AccountReply,
    EquityPoint,
    EquityReply,
    GetAccount,
    ListEquity,
    ListPositions,
    PositionsReply,
    ValuedPosition,
)
from tapewire.views import OrdersView, PositionsView
from tapewire.views.account import AccountTerms, available_power, value_account
from tapewire.views.positions import sum_exact, value_position
from tapewire_services.positions.domain.equity_curve import EquitySample
from tapewire_services.positions.equity_store import EquityStore


class PositionsService:
    """Handles the requests `svc.positions.*`."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        quote_cache: QuoteCache,
        terms: AccountTerms,
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._quote_cache = quote_cache
        self._terms = terms
        self._curves = EquityStore(checkpoint_store)

    async def list(self, request: ListPositions, _: RequestContext) -> PositionsReply:
        """A page of the user's positions as of the end of the log, at the newest prices."""
        view, bounds = await view_checkpoints.load(
            self._log, self._checkpoint_store, PositionsView, request.user_id
        )
        positions = sorted(view.positions(), key=lambda position: position.symbol)
        valued = [self._to_valued_position(position) for position in positions]
        page, following = page_by_key(
            valued, lambda one: one.symbol, request.limit, request.cursor, "positions"
        )
        values = [
            position.cost_basis if one.value is None else one.value
            for position, one in zip(positions, valued, strict=True)
        ]
        return PositionsReply(
            positions=page,
            next=following,
            total_value=sum_exact(values),
            unrealized_pnl=sum_exact([one.unrealized_pnl or Decimal(0) for one in valued]),
            realized_pnl=view.realized_pnl,
            as_of=bounds.last,
            epoch=bounds.epoch,
        )

    async def account(self, request: GetAccount, _context: RequestContext) -> AccountReply:
        """The user's account as of the end of the log, at the newest prices."""
        user, terms = request.user_id, self._terms
        view, bounds = await view_checkpoints.load(
            self._log, self._checkpoint_store, PositionsView, user
        )
        orders: list[Order] = []
        if terms.max_leverage is not None:
            orders_view, _ = await view_checkpoints.load(
                self._log, self._checkpoint_store, OrdersView, user, bounds=bounds
            )
            orders = orders_view.open_orders()
        value = value_account(view, terms, self._price, self._quote_cache.is_stale)
        return AccountReply(
            starting_balance=terms.starting_balance,
            cash=value.cash,
            equity=value.equity,
            gross_exposure=value.gross_exposure,
            net_exposure=value.net_exposure,
            realized_pnl=value.realized_pnl,
            unrealized_pnl=value.unrealized_pnl,
            fees=value.fees,
            buying_power=available_power(view, orders, value.equity, terms, self._price),
            stale=value.is_stale,
            unpriced=value.unpriced,
            as_of=bounds.last,
            epoch=bounds.epoch,
        )

    async def list_equity(self, request: ListEquity, _: RequestContext) -> EquityReply:
        """A page of the user's equity curve, the newest sample first."""
        check_limit(request.limit)
        before = None if request.cursor is None else _decode_cursor(request.cursor)
        since = 0 if request.since is None else math.ceil(request.since.timestamp())
        bounds = await self._log.bounds()
        samples = await self._curves.read_samples(
            request.user_id, bounds, before=before, since=since, limit=request.limit + 1
        )
        page = samples[: request.limit]
        following = encode_key("equity", str(page[-1].time)) if len(samples) > len(page) else None
        return EquityReply(points=[_to_point(sample) for sample in page], next=following)

    def _price(self, symbol: str) -> Decimal | None:
        quote = self._quote_cache.quote(symbol)
        return None if quote is None else quote.price

    def _to_valued_position(self, position: Position) -> ValuedPosition:
        quote = self._quote_cache.quote(position.symbol)
        valuation = value_position(position, quote.price) if quote is not None else None
        return ValuedPosition(
            symbol=position.symbol,
            quantity=position.quantity,
            entry_price=position.entry_price,
            current_price=quote.price if quote is not None else None,
            value=valuation.value if valuation is not None else None,
            unrealized_pnl=valuation.unrealized_pnl if valuation is not None else None,
            realized_pnl=position.realized_pnl,
            fees=position.fees,
            timestamp=position.timestamp,
            stale=valuation is not None
            and bool(position.quantity)
            and self._quote_cache.is_stale(position.symbol),
        )


def _to_point(sample: EquitySample) -> EquityPoint:
    return EquityPoint(
        timestamp=datetime.fromtimestamp(sample.time, UTC),
        equity=sample.equity,
        cash=sample.cash,
        stale=sample.is_stale,
    )


def _decode_cursor(cursor: str) -> int:
    """The time before which samples are wanted. Raises CommandRejected."""
    match decode_key(cursor, "equity"):
        case (text,) if text.isdecimal():
            return int(text)
    message = "cursor is the `next` of an earlier page of the equity curve"
    raise CommandRejected("invalid", message, "cursor")
