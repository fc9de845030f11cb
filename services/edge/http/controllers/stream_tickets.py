"""Tickets that open a stream without a cookie or header: `/api/stream/ticket`."""

from datetime import datetime

import msgspec
from litestar import Controller, post

from tapewire_services.edge.auth import Session
from tapewire_services.edge.http.controllers.context import ControllerContext
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation


class TicketView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    ticket: str
    expires_at: datetime


class StreamTicketController(Controller):
    path = "/api/stream/ticket"
    tags = ["session"]  # noqa: RUF012 - Litestar's attribute

    @post(operation_class=operation())
    async def ticket(
        self, context: ControllerContext, session: Session
    ) -> JsonResponse[TicketView]:
        """A ticket that opens one stream as ``?ticket=``. The stream's response sets the session
        cookie, which an EventSource on another site does not have. A ticket works once, for at
        most 30 seconds."""
        ticket, expires_at = await context.tickets.issue(session)
        view = TicketView(ticket=ticket, expires_at=expires_at)
        return JsonResponse(view, status_code=201)
