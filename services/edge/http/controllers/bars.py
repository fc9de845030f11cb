"""Bars: `/api/bars`."""

from typing import get_args

import msgspec
from litestar import Controller, get

from tapewire.runtime.contracts import bars as contract
from tapewire_services.edge.http.bar_request import parse_bar_interval
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
)
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.schema import operation, page_parameters, query_parameter
from tapewire_services.edge.http.stream_request import parse_symbol

DEFAULT_LIMIT = 500
"""Bars that are listed without a `limit`."""


class BarList(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of one symbol and interval, the newest first. `next` is the `cursor` of the older ones,
    absent after the last that is kept."""

    symbol: str
    interval: contract.BarInterval
    bars: list[contract.Bar]
    next: str | msgspec.UnsetType = msgspec.UNSET


class BarController(Controller):
    path = "/api/bars"
    tags = ["prices"]  # noqa: RUF012 - Litestar's attribute

    @get(
        operation_class=operation(
            query_parameters=[
                {**query_parameter("symbol", "One symbol."), "required": True},
                {
                    **query_parameter(
                        "interval",
                        "The length of each bar.",
                        enum=[*get_args(contract.BarInterval)],
                    ),
                    "required": True,
                },
                *page_parameters(DEFAULT_LIMIT),
            ],
            is_public=True,
            error_statuses=(404, 503),
        )
    )
    async def bars(self, request: HttpRequest, context: ControllerContext) -> BarList:
        """Open, high, low, close and volume of a symbol in each interval, the newest first. The
        first bar may still be open."""
        query = request.query_params
        for name in ("symbol", "interval"):
            if not query.get(name):
                raise HttpError(422, f"say which {name}", path=name)
        symbol = parse_symbol("symbol", query["symbol"])
        interval = parse_bar_interval(query["interval"], "interval")
        limit, cursor = page_query(request, DEFAULT_LIMIT)
        reply = await context.call_service(
            contract.SERVICE,
            contract.BARS,
            contract.ListBars(symbol=symbol, interval=interval, limit=limit, cursor=cursor),
            contract.BarsReply,
            request,
        )
        return BarList(
            symbol=reply.symbol,
            interval=interval,
            bars=reply.bars,
            next=reply.next or msgspec.UNSET,
        )
