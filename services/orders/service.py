"""The requests that the orders service answers: place, cancel, replace, get, list, trades, correct.

A handler builds a command, which is the only place that reads the clock, and has it decided; or it
reads the log.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from tapewire.decimals import abbreviate
from tapewire.events import Order, OrderType
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventLog,
    EventSubject,
    LatestValueStore,
    Versioned,
)
from tapewire.log.history import HistoryReader
from tapewire.runtime import RequestContext
from tapewire.runtime.commands import handle_command
from tapewire.runtime.contracts.orders import (
    CANCELED_BY_USER,
    CancelOrder,
    CorrectExecution,
    GetOrder,
    ListOrders,
    ListTrades,
    OrderReply,
    OrdersReply,
    PlaceOrder,
    ReplaceOrder,
    TradesReply,
    order_id,
)
from tapewire.views import OrderHistory, TradeHistory
from tapewire_services.orders.buying_power import BuyingPowerCheck
from tapewire_services.orders.domain.commands import (
    MAX_ID_LENGTH,
    CancelOrderCommand,
    Command,
    CorrectExecutionCommand,
    PlaceOrderCommand,
    ReplaceOrderCommand,
    RequestCancelCommand,
    validate_place_order,
    validate_replacement,
)
from tapewire_services.orders.domain.order import new_order
from tapewire_services.orders.domain.order_state import State, UnplacedState
from tapewire_services.orders.execution_booking import ExecutionBooking
from tapewire_services.orders.exposure_gate import ExposureGate
from tapewire_services.orders.open_order_limit import OpenOrderLimit
from tapewire_services.orders.symbol_check import SymbolCheck


class OrdersService:
    """Handles the requests `svc.orders.*`."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        command_handler: CommandHandler[State, Command],
        symbol_check: SymbolCheck,
        open_order_limit: OpenOrderLimit,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        exposure_gate: ExposureGate | None = None,
        buying_power: BuyingPowerCheck | None = None,
        broker_confirms_at_once: bool = True,
        count_splits: Callable[[str], int] = lambda _: 0,
    ) -> None:
        """`broker_confirms_at_once`: the broker can do nothing but what the journal says. Otherwise
        a cancel and a replacement are pending until the broker has answered."""
        self._log = log
        self._exposure_gate = exposure_gate
        self._buying_power = buying_power
        self._broker_confirms_at_once = broker_confirms_at_once
        self._command_handler = command_handler
        self._booking = ExecutionBooking(log, command_handler)
        self._symbol_check = symbol_check
        self._open_order_limit = open_order_limit
        self._order_history = HistoryReader(log, checkpoint_store, OrderHistory)
        self._trade_history = HistoryReader(log, checkpoint_store, TradeHistory)
        self._clock = clock
        self._count_splits = count_splits

    async def place(self, request: PlaceOrder, context: RequestContext) -> OrderReply:
        """Place the order, or return the one that exists under its clientOrderId."""
        command = validate_place_order(self._build_place_command(request, context))
        await self._symbol_check.check(command)
        subject = EventSubject(
            command.user, "orders", order_id(command.user, command.client_order_id)
        )
        if self._exposure_gate is not None:
            await self._exposure_gate.check(command)
        async with (
            self._reserve_room(command, subject),
            self._reserve_buying_power(command.user, new_order(command), subject, command.id),
        ):
            placed = await handle_command(
                self._command_handler, subject, command, context, is_new=True
            )
        is_created = (
            not isinstance(placed.state, UnplacedState)
            and placed.state.placed_by_command_id == command.id
        )
        return OrderReply(order=_require_order(placed, subject.entity), created=is_created)

    async def cancel(self, request: CancelOrder, context: RequestContext) -> OrderReply:
        """Cancel the unfilled rest of the order, or ask the broker to."""
        id_, at, user = context.command_id, self._clock(), request.user_id
        command: Command = RequestCancelCommand(id=id_, at=at, user=user)
        if self._broker_confirms_at_once:
            reason = request.reason or CANCELED_BY_USER
            command = CancelOrderCommand(id=id_, at=at, user=user, reason=reason)
        return await self._change(request, command, context)

    async def replace(self, request: ReplaceOrder, context: RequestContext) -> OrderReply:
        """Change the terms of the order, or ask the broker to."""
        command = ReplaceOrderCommand(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            qty=request.qty,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            needs_confirmation=not self._broker_confirms_at_once,
        )
        if self._buying_power is None:
            return await self._change(request, command, context)
        subject = _order_subject(request)
        order = await self._load_replaced(subject, command)
        async with self._reserve_buying_power(request.user_id, order, subject, command.id):
            return await self._change(request, command, context)

    async def correct(self, request: CorrectExecution, context: RequestContext) -> OrderReply:
        """Correct or bust an execution, whoever's order it is of."""
        id_ = request.order_id or (request.trade_id or "").rpartition("-")[0]
        subject = await self._booking.find_order(id_)
        command = CorrectExecutionCommand(
            id=context.command_id,
            at=self._clock(),
            user=subject.owner,
            execution_id=request.execution_id,
            trade_id=request.trade_id,
            correction_id=request.correction_id,
            qty=request.qty,
            price=request.price,
            fee=request.fee,
            is_busted=request.is_busted,
            from_operator=True,
            splits=await self._booking.count_splits(subject),
        )
        changed = await handle_command(self._command_handler, subject, command, context)
        return OrderReply(order=_require_order(changed, id_))

    async def _change(
        self, request: CancelOrder | ReplaceOrder, command: Command, context: RequestContext
    ) -> OrderReply:
        subject = _order_subject(request)
        changed = await handle_command(self._command_handler, subject, command, context)
        return OrderReply(order=_require_order(changed, request.order_id))

    async def get(self, request: GetOrder, _: RequestContext) -> OrderReply:
        """The order as the log has it. An order of another user is not found, nor is one that was
        archived; it is listed with the others."""
        loaded = await self._command_handler.load_latest(_order_subject(request))
        if isinstance(loaded.state, UnplacedState) and (await self._log.bounds()).first > 1:
            raise CommandRejected(
                "not_found",
                f"there is no order {abbreviate(request.order_id)} that is not archived: orders "
                "that were closed long ago are only listed",
            )
        return OrderReply(order=_require_order(loaded, request.order_id))

    async def list(self, request: ListOrders, _: RequestContext) -> OrdersReply:
        """A page of the user's orders, as they are now."""
        page = await self._order_history.read_page(request.user_id, request.limit, request.cursor)
        return OrdersReply(
            orders=page.rows, next=page.next, as_of=page.bounds.last, epoch=page.bounds.epoch
        )

    async def list_trades(self, request: ListTrades, _: RequestContext) -> TradesReply:
        """A page of the user's trades."""
        page = await self._trade_history.read_page(request.user_id, request.limit, request.cursor)
        return TradesReply(
            trades=page.rows, next=page.next, as_of=page.bounds.last, epoch=page.bounds.epoch
        )

    def _reserve_room(
        self, command: PlaceOrderCommand, subject: EventSubject
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Reserve room for the order. A market order needs none: it does not rest, and a stop-loss
        must never be refused for the number of orders."""
        if command.type is OrderType.MARKET:
            return contextlib.nullcontext()

        async def is_repeated() -> bool:
            loaded = await self._command_handler.load_latest(subject)
            return not isinstance(loaded.state, UnplacedState)

        return self._open_order_limit.reserve(command.user, is_repeated)

    def _reserve_buying_power(
        self, user: str, order: Order | None, subject: EventSubject, command_id: str
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Reserve what `order` may add to the exposure; nothing without a limit or an order."""
        if self._buying_power is None or order is None:
            return contextlib.nullcontext()

        async def is_repeated() -> bool:
            state = (await self._command_handler.load_latest(subject)).state
            return not isinstance(state, UnplacedState) and (
                order.replacement is None or command_id in state.seen_command_ids
            )

        return self._buying_power.reserve(user, order, is_repeated)

    async def _load_replaced(
        self, subject: EventSubject, command: ReplaceOrderCommand
    ) -> Order | None:
        """The order with the terms that `command` asks for; None if the command will be rejected
        for another reason."""
        state = (await self._command_handler.load_latest(subject)).state
        if isinstance(state, UnplacedState) or not state.order.status.is_open:
            return None
        try:
            terms = validate_replacement(state.order, command)
        except CommandRejected:
            return None
        return msgspec.structs.replace(state.order, replacement=terms)

    def _build_place_command(
        self, request: PlaceOrder, context: RequestContext
    ) -> PlaceOrderCommand:
        return PlaceOrderCommand(
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
            stop_price=request.stop_price,
            time_in_force=request.time_in_force,
            reduce_only=request.reduce_only,
            splits=self._count_splits(request.symbol) if request.splits is None else request.splits,
        )


def _order_subject(request: CancelOrder | ReplaceOrder | GetOrder) -> EventSubject:
    if not 1 <= len(request.order_id) <= MAX_ID_LENGTH:
        raise _order_not_found(request.order_id)
    return EventSubject(request.user_id, "orders", request.order_id)


def _require_order(versioned: Versioned[State], requested_id: str) -> Order:
    if isinstance(versioned.state, UnplacedState):
        raise _order_not_found(requested_id)
    return versioned.state.order


def _order_not_found(requested_id: str) -> CommandRejected:
    return CommandRejected("not_found", f"there is no order {abbreviate(requested_id)}")
