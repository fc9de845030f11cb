"""Trades: `/api/trades`."""

import msgspec
from litestar import Controller, get

from tapewire.events import TradeRow
from tapewire.runtime.contracts import orders as contract
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
)
from tapewire_services.edge.http.schema import operation, page_parameters

DEFAULT_LIMIT = 1000
"""Trades that are listed without a `limit`."""


class TradeList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Trades and their corrections as of `as_of`, an event id that a stream can resume from. `next`
    is the `cursor` of the page that follows, absent after the last one."""

    trades: list[TradeRow]
    as_of: str
    next: str | msgspec.UnsetType = msgspec.UNSET


class TradeController(Controller):
    path = "/api/trades"
    tags = ["orders"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_class=operation(query_parameters=page_parameters(DEFAULT_LIMIT)))
    async def list_trades(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> TradeList:
        """All trades of the user and their corrections, the newest first. A correction is a row
        with the trade's `tradeId`, the numbers that it counts as from there on (`qty` 0: busted),
        and `before`."""
        limit, cursor = page_query(request, DEFAULT_LIMIT)
        payload = contract.ListTrades(user_id=session.user_id, limit=limit, cursor=cursor)
        reply = await context.call_service(
            contract.SERVICE, contract.TRADES, payload, contract.TradesReply, request
        )
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return TradeList(trades=reply.trades, as_of=as_of, next=reply.next or msgspec.UNSET)
