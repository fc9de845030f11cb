"""Orders: `/api/orders`."""

from decimal import Decimal

import msgspec
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec

from services.edge.cursor import Cursor
from services.edge.gateway.shared import Ask, Gateway, body
from services.edge.http.responses import Json
from services.edge.http.schema import call
from tapewire.events import Order, OrderType, Side
from tapewire.runtime.contracts import orders as asked


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


THERE = ResponseSpec(
    Order, generate_examples=False, description="The order that is there under this clientOrderId."
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    @post(
        "/api/orders",
        operation_class=call(PlaceOrderBody, command=True, refuses=(409,)),
        responses={200: THERE},
        tags=["orders"],
    )
    async def place(request: Ask) -> Json[Order]:
        """Place an order: 201, or 200 with the order that is there under this clientOrderId."""
        session = await gateway.session(request)
        wanted = await body(request, PlaceOrderBody, "qty", "limitPrice")
        placing = asked.PlaceOrder(user_id=session.user_id, **msgspec.structs.asdict(wanted))
        reply = await gateway.ask(asked.SERVICE, asked.PLACE, placing, asked.OrderReply, request)
        return Json(reply.order, status_code=201 if reply.created else 200)

    @get("/api/orders", operation_class=call(), tags=["orders"])
    async def list_orders(request: Ask) -> OrderList:
        """All open orders and the last closed ones, the most recently changed one last."""
        session = await gateway.session(request)
        asking = asked.ListOrders(user_id=session.user_id)
        reply = await gateway.ask(asked.SERVICE, asked.LIST, asking, asked.OrdersReply, request)
        return OrderList(orders=reply.orders, as_of=str(Cursor(reply.epoch, reply.as_of)))

    @get("/api/orders/{order_id:str}", operation_class=call(refuses=(404,)), tags=["orders"])
    async def get_order(request: Ask, order_id: str) -> Order:
        """One order."""
        session = await gateway.session(request)
        asking = asked.GetOrder(user_id=session.user_id, order_id=order_id)
        return (
            await gateway.ask(asked.SERVICE, asked.GET, asking, asked.OrderReply, request)
        ).order

    @delete(
        "/api/orders/{order_id:str}",
        status_code=200,
        operation_class=call(command=True, refuses=(404, 409)),
        tags=["orders"],
    )
    async def cancel(request: Ask, order_id: str) -> Order:
        """Cancel what is left of an order: 409 when nothing is."""
        session = await gateway.session(request)
        asking = asked.CancelOrder(user_id=session.user_id, order_id=order_id)
        return (
            await gateway.ask(asked.SERVICE, asked.CANCEL, asking, asked.OrderReply, request)
        ).order

    return [place, list_orders, get_order, cancel]
