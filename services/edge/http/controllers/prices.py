"""Newest quotes: `/api/prices`."""

from datetime import datetime

import msgspec
from litestar import Controller, get

from tapewire.log.list_cursor import page_by_key
from tapewire.payloads.market import QuoteView
from tapewire_services.edge.delivery.serializers.trading_views import quote_view
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
)
from tapewire_services.edge.http.errors import unavailable
from tapewire_services.edge.http.schema import operation, page_parameters, query_parameter
from tapewire_services.edge.http.stream_request import MAX_SYMBOLS, parse_symbols

SYMBOLS_PARAMETER = query_parameter(
    "symbols",
    f"Comma-separated symbols, at most {MAX_SYMBOLS}; all symbols without it. A symbol that has no "
    "quote stands for the one of its name in upper case.",
)


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    """Sorted by symbol. `next` is the `cursor` of the page that follows, absent after the last.
    `unknown` names the symbols that were asked for and have no quote; it is there if there are
    any."""

    prices: list[QuoteView]
    timestamp: datetime
    next: str | msgspec.UnsetType = msgspec.UNSET
    unknown: list[str] | msgspec.UnsetType = msgspec.UNSET


class PriceController(Controller):
    path = "/api/prices"
    tags = ["prices"]  # noqa: RUF012 - Litestar's attribute

    @get(
        operation_class=operation(
            query_parameters=[SYMBOLS_PARAMETER, *page_parameters(MAX_SYMBOLS, MAX_SYMBOLS)],
            is_public=True,
            error_statuses=(503,),
        )
    )
    async def prices(self, request: HttpRequest, context: ControllerContext) -> PriceList:
        """The newest quotes, of all symbols or of those in `symbols`, and how old each is."""
        feed = context.engine.quote_feed
        symbols = feed.request(parse_symbols(request.query_params.get("symbols")))
        if not context.engine.log_tail.ready.is_set():
            raise unavailable("The market cannot be heard now; try again")
        limit, cursor = page_query(request, MAX_SYMBOLS)
        quotes, following = page_by_key(
            feed.quotes(symbols),
            lambda quote: quote.symbol,
            limit,
            cursor,
            "prices",
            maximum=MAX_SYMBOLS,
        )
        unknown = [] if symbols is None else symbols.find_unknown()
        feed, now = context.engine.quote_feed, context.now()
        prices = [
            quote_view(quote, feed.quote_age(quote, now), is_stale=feed.is_stale(quote.symbol))
            for quote in quotes
        ]
        return PriceList(
            prices=prices,
            timestamp=now,
            next=following or msgspec.UNSET,
            unknown=unknown or msgspec.UNSET,
        )
