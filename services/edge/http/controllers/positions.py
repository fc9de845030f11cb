"""Positions and the account: `/api/positions`, `/api/account`, `/api/account/equity`."""

from datetime import datetime
from decimal import Decimal

import msgspec
from litestar import Controller, get

from tapewire.payloads.positions import AccountView
from tapewire.runtime.contracts import positions as contract
from tapewire.values import InvalidValue, parse_time
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.serializers.trading_views import account_view
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
)
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.schema import operation, page_parameters, query_parameter

DEFAULT_LIMIT = 1000
"""Positions that are listed without a `limit`."""
DEFAULT_POINTS = 500
"""Points of an equity curve that are listed without a `limit`."""


class PositionList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Positions as of the event id `as_of`, sorted by symbol and valued at the prices of
    `timestamp`. The totals, in dollars, are those of all positions. `next` is the `cursor` of the
    page that follows, absent after the last one."""

    positions: list[contract.ValuedPosition]
    total_value: Decimal
    unrealized_pnl: Decimal = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")
    timestamp: datetime
    as_of: str
    next: str | msgspec.UnsetType = msgspec.UNSET


class EquityCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Points of an equity curve, the newest first. `next` is the `cursor` of the older ones, absent
    after the last that is kept."""

    points: list[contract.EquityPoint]
    next: str | msgspec.UnsetType = msgspec.UNSET


class AccountController(Controller):
    path = "/api/account"
    tags = ["positions"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_class=operation())
    async def account(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> AccountView:
        """The user's cash, equity, exposure, profits, fees and buying power, at the newest
        prices."""
        reply = await context.call_service(
            contract.SERVICE,
            contract.ACCOUNT,
            contract.GetAccount(user_id=session.user_id),
            contract.AccountReply,
            request,
        )
        return account_view(reply, str(Cursor(reply.epoch, reply.as_of)), context.now())

    @get(
        "/equity",
        operation_class=operation(
            query_parameters=[
                query_parameter("since", "A time in ISO 8601: lists no earlier points."),
                *page_parameters(DEFAULT_POINTS),
            ]
        ),
    )
    async def equity(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> EquityCurve:
        """The user's equity curve, the newest point first: a day of samples, and then one of each
        sixty. Where nothing changed, there are none."""
        limit, cursor = page_query(request, DEFAULT_POINTS)
        payload = contract.ListEquity(
            user_id=session.user_id, limit=limit, cursor=cursor, since=_parse_since(request)
        )
        reply = await context.call_service(
            contract.SERVICE, contract.EQUITY, payload, contract.EquityReply, request
        )
        return EquityCurve(points=reply.points, next=reply.next or msgspec.UNSET)


def _parse_since(request: HttpRequest) -> datetime | None:
    """Raises HttpError (422) unless `since` is a time."""
    text = request.query_params.get("since")
    if text is None:
        return None
    try:
        return parse_time("since", text)
    except InvalidValue as error:
        raise HttpError(422, str(error), path="since", value=text[:64]) from None


class PositionController(Controller):
    path = "/api/positions"
    tags = ["positions"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_class=operation(query_parameters=page_parameters(DEFAULT_LIMIT)))
    async def positions(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> PositionList:
        """The user's open and recently closed positions, at the newest prices."""
        limit, cursor = page_query(request, DEFAULT_LIMIT)
        payload = contract.ListPositions(user_id=session.user_id, limit=limit, cursor=cursor)
        reply = await context.call_service(
            contract.SERVICE, contract.LIST, payload, contract.PositionsReply, request
        )
        return PositionList(
            positions=reply.positions,
            total_value=reply.total_value,
            unrealized_pnl=reply.unrealized_pnl,
            realized_pnl=reply.realized_pnl,
            timestamp=context.now(),
            as_of=str(Cursor(reply.epoch, reply.as_of)),
            next=reply.next or msgspec.UNSET,
        )
