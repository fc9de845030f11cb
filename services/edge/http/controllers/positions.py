"""Positions: `/api/positions`."""

from datetime import datetime
from decimal import Decimal

import msgspec
from litestar import Controller, get

from tapewire.runtime.contracts import positions as contract
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import ControllerContext, HttpRequest
from tapewire_services.edge.http.schema import operation


class PositionList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Positions as of the event id `as_of`, valued at the prices of `timestamp`. Dollars."""

    positions: list[contract.ValuedPosition]
    total_value: Decimal
    unrealized_pnl: Decimal = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")
    timestamp: datetime
    as_of: str


class PositionController(Controller):
    path = "/api/positions"
    tags = ["positions"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_class=operation())
    async def positions(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> PositionList:
        """The user's open and recently closed positions, at the newest prices."""
        payload = contract.ListPositions(user_id=session.user_id)
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
        )
