"""The requests that the positions service answers. None of them changes anything."""

from decimal import Decimal

from tapewire.events import Position
from tapewire.log import EventLog, LatestValueStore, view_checkpoints
from tapewire.log.list_cursor import page_by_key
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.positions import (
    ListPositions,
    PositionsReply,
    ValuedPosition,
)
from tapewire.views import PositionsView
from tapewire.views.positions import sum_exact, value_position


class PositionsService:
    """Handles the requests `svc.positions.*`."""

    def __init__(
        self, log: EventLog, checkpoint_store: LatestValueStore, quote_cache: QuoteCache
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._quote_cache = quote_cache

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
        )
