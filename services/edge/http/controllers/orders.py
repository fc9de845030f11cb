"""Orders: `/api/orders`."""

from decimal import Decimal

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.openapi.datastructures import ResponseSpec

from tapewire.events import Order, OrderType, Side, TimeInForce
from tapewire.runtime.contracts import orders as contract
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
    read_body,
)
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation, page_parameters

DEFAULT_LIMIT = 1000
"""Orders that are listed without a `limit`."""


class PlaceOrderBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """An order to place. Quantities are shares, prices dollars a share. Limit and stop-limit orders
    have a `limitPrice`, stop and stop-limit orders a `stopPrice`. A `reduceOnly` order only ever
    brings the position closer to 0."""

    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    client_order_id: str | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False


class ReplaceOrderBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Other terms of an order; what is absent or null stays as it is. `qty` is the whole order,
    what is filled included."""

    qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class OrderList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Orders as of `as_of`, an event id that a stream can resume from. `next` is the `cursor`
    of the page that follows, absent after the last one."""

    orders: list[Order]
    as_of: str
    next: str | msgspec.UnsetType = msgspec.UNSET


EXISTING_ORDER_RESPONSE = ResponseSpec(
    Order,
    generate_examples=False,
    description="The order that already exists under this clientOrderId.",
)


class OrderController(Controller):
    path = "/api/orders"
    tags = ["orders"]  # noqa: RUF012 - Litestar's attribute

    @post(
        operation_class=operation(PlaceOrderBody, is_command=True),
        responses={200: EXISTING_ORDER_RESPONSE},
    )
    async def place(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> JsonResponse[Order]:
        """Place an order: 201, or 200 with the existing order of this clientOrderId."""
        body = await read_body(request, PlaceOrderBody, "qty", "limitPrice", "stopPrice")
        payload = contract.PlaceOrder(user_id=session.user_id, **msgspec.structs.asdict(body))
        reply = await context.call_service(
            contract.SERVICE, contract.PLACE, payload, contract.OrderReply, request
        )
        return JsonResponse(reply.order, status_code=201 if reply.created else 200)

    @get(operation_class=operation(query_parameters=page_parameters(DEFAULT_LIMIT)))
    async def list_orders(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> OrderList:
        """All orders that the user ever placed, as they are now, the one placed last first."""
        limit, cursor = page_query(request, DEFAULT_LIMIT)
        payload = contract.ListOrders(user_id=session.user_id, limit=limit, cursor=cursor)
        reply = await context.call_service(
            contract.SERVICE, contract.LIST, payload, contract.OrdersReply, request
        )
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return OrderList(orders=reply.orders, as_of=as_of, next=reply.next or msgspec.UNSET)

    @get("/{order_id:str}", operation_class=operation(error_statuses=(404,)))
    async def get_order(
        self, request: HttpRequest, context: ControllerContext, session: Session, order_id: str
    ) -> Order:
        """One order."""
        payload = contract.GetOrder(user_id=session.user_id, order_id=order_id)
        reply = await context.call_service(
            contract.SERVICE, contract.GET, payload, contract.OrderReply, request
        )
        return reply.order

    @patch(
        "/{order_id:str}",
        operation_class=operation(ReplaceOrderBody, is_command=True, error_statuses=(404,)),
    )
    async def replace(
        self, request: HttpRequest, context: ControllerContext, session: Session, order_id: str
    ) -> Order:
        """Change quantity, limit or stop price of an open order, which keeps its id; 409 when
        nothing is open, or when another change is pending. The status is `pending_replace` until
        the broker has confirmed."""
        body = await read_body(request, ReplaceOrderBody, "qty", "limitPrice", "stopPrice")
        payload = contract.ReplaceOrder(
            user_id=session.user_id, order_id=order_id, **msgspec.structs.asdict(body)
        )
        reply = await context.call_service(
            contract.SERVICE, contract.REPLACE, payload, contract.OrderReply, request
        )
        return reply.order

    @delete(
        "/{order_id:str}",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
    )
    async def cancel(
        self, request: HttpRequest, context: ControllerContext, session: Session, order_id: str
    ) -> Order:
        """Cancel the open quantity of an order; 409 when nothing is open. The status is
        `pending_cancel` until the broker has confirmed."""
        payload = contract.CancelOrder(user_id=session.user_id, order_id=order_id)
        reply = await context.call_service(
            contract.SERVICE, contract.CANCEL, payload, contract.OrderReply, request
        )
        return reply.order
