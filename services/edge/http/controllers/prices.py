"""Newest quotes: `/api/prices`."""

from datetime import datetime

import msgspec
from litestar import Controller, get

from tapewire_services.edge.delivery.serializers.trading_views import PriceView, price_view
from tapewire_services.edge.http.controllers.context import ControllerContext, HttpRequest
from tapewire_services.edge.http.errors import unavailable
from tapewire_services.edge.http.schema import operation, query_parameter
from tapewire_services.edge.http.stream_request import MAX_SYMBOLS, parse_symbols

SYMBOLS_PARAMETER = query_parameter(
    "symbols", f"Comma-separated symbols, at most {MAX_SYMBOLS}; all symbols without it."
)


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    prices: list[PriceView]
    timestamp: datetime


class PriceController(Controller):
    path = "/api/prices"
    tags = ["prices"]  # noqa: RUF012 - Litestar's attribute

    @get(
        operation_class=operation(
            query_parameters=[SYMBOLS_PARAMETER], is_public=True, error_statuses=(503,)
        )
    )
    async def prices(self, request: HttpRequest, context: ControllerContext) -> PriceList:
        """The newest quotes, of all symbols or of those in `symbols`."""
        symbols = parse_symbols(request.query_params.get("symbols"))
        if not context.engine.log_tail.ready.is_set():
            # The quote feed still holds the last quotes, which may be old by now.
            raise unavailable("The market cannot be heard now; try again")
        quotes = context.engine.quote_feed.quotes(symbols)
        prices = [price_view(quote) for quote in quotes]
        return PriceList(prices=prices, timestamp=context.now())
