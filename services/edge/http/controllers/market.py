"""What there is now: `/api/prices` and `/api/positions`."""

from datetime import datetime
from decimal import Decimal

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from tapewire.runtime.contracts import positions as asked
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.serializers.trading_views import PriceView, price_view
from tapewire_services.edge.http.controllers.context import ControllerContext, HttpRequest
from tapewire_services.edge.http.errors import unavailable
from tapewire_services.edge.http.schema import operation, query_parameter
from tapewire_services.edge.http.stream_request import MAX_SYMBOLS, parse_symbols


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    prices: list[PriceView]
    timestamp: datetime


class PositionList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Positions as of a place in the log, at the prices of `timestamp`. Dollars."""

    positions: list[asked.ValuedPosition]
    total_value: Decimal
    unrealized_pnl: Decimal = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")
    timestamp: datetime
    as_of: str


SYMBOLS_PARAMETER = query_parameter(
    "symbols", f"Separated by commas, {MAX_SYMBOLS} at the most; without any, all."
)


def routes(context: ControllerContext) -> list[HTTPRouteHandler]:
    @get(
        "/api/prices",
        operation_class=operation(
            query_parameters=[SYMBOLS_PARAMETER], is_public=True, error_statuses=(503,)
        ),
        tags=["prices"],
    )
    async def prices(request: HttpRequest) -> PriceList:
        """The newest quotes, of all symbols or of those in `symbols`."""
        wanted = parse_symbols(request.query_params.get("symbols"))
        if not context.engine.log_tail.ready.is_set():
            # The board still has the last quotes, which may be old by now.
            raise unavailable("The market cannot be heard now; try again")
        prices = [price_view(quote) for quote in context.quote_feed.quotes(wanted)]
        return PriceList(prices=prices, timestamp=context.now())

    @get("/api/positions", operation_class=operation(), tags=["positions"])
    async def positions(request: HttpRequest) -> PositionList:
        """What the user holds and recently held, at the newest prices."""
        session = await context.require_session(request)
        asking = asked.ListPositions(user_id=session.user_id)
        reply = await context.call_service(
            asked.SERVICE, asked.LIST, asking, asked.PositionsReply, request
        )
        return PositionList(
            positions=reply.positions,
            total_value=reply.total_value,
            unrealized_pnl=reply.unrealized_pnl,
            realized_pnl=reply.realized_pnl,
            timestamp=context.now(),
            as_of=str(Cursor(reply.epoch, reply.as_of)),
        )

    return [prices, positions]
