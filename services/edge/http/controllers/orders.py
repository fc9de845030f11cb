"""Orders: `/api/orders`."""

from decimal import Decimal

import msgspec
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec

from tapewire.events import Order, OrderType, Side
from tapewire.runtime.contracts import orders as asked
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    read_body,
)
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation


class PlaceOrderBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """An order to place. Quantities are shares, prices dollars a share."""

    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    client_order_id: str | None = None


class OrderList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Orders as of a place in the log, which a stream can be resumed from."""

    orders: list[Order]
    as_of: str


EXISTING_ORDER_RESPONSE = ResponseSpec(
    Order, generate_examples=False, description="The order that is there under this clientOrderId."
)


def routes(context: ControllerContext) -> list[HTTPRouteHandler]:
    @post(
        "/api/orders",
        operation_class=operation(PlaceOrderBody, is_command=True, error_statuses=(409,)),
        responses={200: EXISTING_ORDER_RESPONSE},
        tags=["orders"],
    )
    async def place(request: HttpRequest) -> JsonResponse[Order]:
        """Place an order: 201, or 200 with the order that is there under this clientOrderId."""
        session = await context.require_session(request)
        wanted = await read_body(request, PlaceOrderBody, "qty", "limitPrice")
        placing = asked.PlaceOrder(user_id=session.user_id, **msgspec.structs.asdict(wanted))
        reply = await context.call_service(
            asked.SERVICE, asked.PLACE, placing, asked.OrderReply, request
        )
        return JsonResponse(reply.order, status_code=201 if reply.created else 200)

    @get("/api/orders", operation_class=operation(), tags=["orders"])
    async def list_orders(request: HttpRequest) -> OrderList:
        """All open orders and the last closed ones, the most recently changed one last."""
        session = await context.require_session(request)
        asking = asked.ListOrders(user_id=session.user_id)
        reply = await context.call_service(
            asked.SERVICE, asked.LIST, asking, asked.OrdersReply, request
        )
        return OrderList(orders=reply.orders, as_of=str(Cursor(reply.epoch, reply.as_of)))

    @get(
        "/api/orders/{order_id:str}",
        operation_class=operation(error_statuses=(404,)),
        tags=["orders"],
    )
    async def get_order(request: HttpRequest, order_id: str) -> Order:
        """One order."""
        session = await context.require_session(request)
        asking = asked.GetOrder(user_id=session.user_id, order_id=order_id)
        return (
            await context.call_service(asked.SERVICE, asked.GET, asking, asked.OrderReply, request)
        ).order

    @delete(
        "/api/orders/{order_id:str}",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404, 409)),
        tags=["orders"],
    )
    async def cancel(request: HttpRequest, order_id: str) -> Order:
        """Cancel what is left of an order: 409 when nothing is."""
        session = await context.require_session(request)
        asking = asked.CancelOrder(user_id=session.user_id, order_id=order_id)
        return (
            await context.call_service(
                asked.SERVICE, asked.CANCEL, asking, asked.OrderReply, request
            )
        ).order

    return [place, list_orders, get_order, cancel]
