"""What the positions service answers: list, reconcile. Nothing here changes anything."""

from decimal import Decimal

from services.positions.proof import reconcile
from tapewire.events import Position
from tapewire.log import EventLog, Values, views
from tapewire.log.market import Market
from tapewire.runtime import Context
from tapewire.runtime.contracts.positions import (
    ListPositions,
    PositionsReply,
    Reconcile,
    ReconcileReply,
    ValuedPosition,
)
from tapewire.views import PositionsView
from tapewire.views.positions import total, worth


class PositionsService:
    """The handlers of `svc.positions.*`."""

    def __init__(self, log: EventLog, values: Values, market: Market) -> None:
        self._log = log
        self._values = values
        self._market = market

    async def list(self, request: ListPositions, _: Context) -> PositionsReply:
        """The user's positions view, exactly as of the end of the log, at the newest prices."""
        view, bounds = await views.load(self._log, self._values, PositionsView, request.user_id)
        positions = view.positions()
        valued = [self._valued(position) for position in positions]
        values = [
            position.cost_basis if one.value is None else one.value
            for position, one in zip(positions, valued, strict=True)
        ]
        return PositionsReply(
            positions=valued,
            total_value=total(values),
            unrealized_pnl=total([one.unrealized_pnl or Decimal(0) for one in valued]),
            realized_pnl=view.realized_pnl,
            as_of=bounds.last,
            epoch=bounds.epoch,
        )

    async def reconcile(self, request: Reconcile, _: Context) -> ReconcileReply:
        """Compare positions with trades; see `proof`."""
        return await reconcile(self._log, request.user_id)

    def _valued(self, position: Position) -> ValuedPosition:
        quote = self._market.quote(position.symbol)
        found = worth(position, quote.price) if quote is not None else None
        return ValuedPosition(
            symbol=position.symbol,
            quantity=position.quantity,
            entry_price=position.entry_price,
            current_price=quote.price if quote is not None else None,
            value=found.value if found is not None else None,
            unrealized_pnl=found.unrealized_pnl if found is not None else None,
            realized_pnl=position.realized_pnl,
            fees=position.fees,
            timestamp=position.timestamp,
        )
