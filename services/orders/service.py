"""What the orders service answers: place, cancel, get, list.

Each handler makes a command (the only place where a clock is read) and has it decided, or reads.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from services.orders.commands import ID_LENGTH, Cancel, Place, checked
from services.orders.deciding import Orders
from services.orders.domain import State, Unplaced
from services.orders.exact import show
from tapewire.events import Order
from tapewire.log import EventLog, Known, Refusal, Subject, Values, views
from tapewire.log.market import Market
from tapewire.runtime import Context
from tapewire.runtime.contracts.orders import (
    CancelOrder,
    GetOrder,
    ListOrders,
    OrderReply,
    OrdersReply,
    PlaceOrder,
    order_id,
)
from tapewire.views import OrdersView

CANCELED_BY_USER = "canceled by the user"


class OrdersService:
    """The handlers of `svc.orders.*`."""

    def __init__(
        self,
        log: EventLog,
        values: Values,
        orders: Orders,
        market: Market,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._values = values
        self._orders = orders
        self._market = market
        self._clock = clock

    async def place(self, request: PlaceOrder, context: Context) -> OrderReply:
        """Place the order, or answer with the one that is there under its clientOrderId."""
        command = checked(self._placing(request, context))
        if not await self._market.knows(command.symbol):
            raise Refusal("invalid", f"unknown symbol {show(command.symbol)!r}", "symbol")
        subject = Subject(command.user, "orders", order_id(command.user, command.client_order_id))
        known = await self._orders.handle(
            subject,
            command,
            correlation=context.correlation,
            traceparent=context.traceparent,
            new=True,
        )
        created = not isinstance(known.state, Unplaced) and known.state.placed_by == command.id
        return OrderReply(order=_order(known, subject.entity), created=created)

    async def cancel(self, request: CancelOrder, context: Context) -> OrderReply:
        """Cancel what is left of the order."""
        command = Cancel(
            id=context.command_id, at=self._clock(), user=request.user_id, reason=CANCELED_BY_USER
        )
        known = await self._orders.handle(
            _subject(request),
            command,
            correlation=context.correlation,
            traceparent=context.traceparent,
        )
        return OrderReply(order=_order(known, request.order_id))

    async def get(self, request: GetOrder, _: Context) -> OrderReply:
        """The order as the log has it; another user's is not found."""
        known = await self._orders.fresh(_subject(request))
        return OrderReply(order=_order(known, request.order_id))

    async def list(self, request: ListOrders, _: Context) -> OrdersReply:
        """The user's orders view, exactly as of the end of the log."""
        view, bounds = await views.load(self._log, self._values, OrdersView, request.user_id)
        return OrdersReply(orders=view.orders(), as_of=bounds.last, epoch=bounds.epoch)

    def _placing(self, request: PlaceOrder, context: Context) -> Place:
        return Place(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            symbol=request.symbol,
            side=request.side,
            type=request.type,
            qty=request.qty,
            limit_price=request.limit_price,
            client_order_id=(
                context.command_id if request.client_order_id is None else request.client_order_id
            ),
            strategy_id=request.strategy_id,
        )


def _subject(request: CancelOrder | GetOrder) -> Subject:
    if not 1 <= len(request.order_id) <= ID_LENGTH:
        raise _unknown(request.order_id)
    return Subject(request.user_id, "orders", request.order_id)


def _order(known: Known[State], id_: str) -> Order:
    if isinstance(known.state, Unplaced):
        raise _unknown(id_)
    return known.state.order


def _unknown(id_: str) -> Refusal:
    return Refusal("not_found", f"there is no order {show(id_)}")
