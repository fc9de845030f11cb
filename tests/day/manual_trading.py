"""Places, replaces and cancels the users' manual orders, one after the other.

After each request it waits until the broker is idle, so the orders of a step have a defined order.
Start at `ManualTrading.run_orders`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tapewire.events import Order, TimeInForce
from tapewire.runtime.contracts import orders
from tests.day.manual_orders import (
    ManualOrder,
    OpenOrderAction,
    PlannedReplacement,
    UserSymbol,
    passive_price,
    touch_price,
)
from tests.day.plan import DayPlan
from tests.day.quiescence import QuiescenceDetector
from tests.day.recorded_quotes import ExpectedQuote
from tests.day.retrying_requester import POLL_INTERVAL_SECONDS, RetryingRequester

RACE_REASON = "canceled while it was replaced"
"""The reason of a cancellation that races with a replacement: either may win, and the order is
canceled in the end."""
EXPIRY_TIMEOUT_SECONDS = 120.0


class ManualTrading:
    """The manual orders of a day."""

    def __init__(
        self,
        plan: DayPlan,
        requester: RetryingRequester,
        quiescence: QuiescenceDetector,
        republish_quotes: Callable[[], Awaitable[object]],
    ) -> None:
        self._plan = plan
        self._requester = requester
        self._quiescence = quiescence
        self._republish_quotes = republish_quotes
        self._order_ids: dict[UserSymbol, str] = {}
        self._known_quotes: dict[str, ExpectedQuote] = {}

    async def run_orders(self, step: int, *, immediate: bool) -> None:
        """Run the manual orders of the step: those that never rest if `immediate`, else the others.

        The end of an immediate order depends on what the broker sees at its arrival, which must not
        be a stale quote: no process may be down meanwhile.
        """
        self._known_quotes |= self._plan.quotes_by_step[step]
        for manual_order in self._plan.manual_orders_by_step[step]:
            if manual_order.is_immediate is immediate:
                await self._run_order(manual_order, step)

    def has_immediate_orders(self, step: int) -> bool:
        return any(one.is_immediate for one in self._plan.manual_orders_by_step[step])

    async def cancel(self, user: str, order_id: str, step: int, reason: str | None = None) -> None:
        """Cancel an order; a rejection because it is closed is ignored."""
        await self._requester.request_or_rejection(
            orders.SERVICE,
            orders.CANCEL,
            orders.CancelOrder(user_id=user, order_id=order_id, reason=reason),
            orders.OrderReply,
            f"cancel-{order_id}-{step}",
        )
        await self._wait_until_broker_idle()

    async def wait_until_day_orders_expired(self) -> None:
        """Wait until no day order is open."""
        async with asyncio.timeout(EXPIRY_TIMEOUT_SECONDS):
            for user_symbol, order_id in self._order_ids.items():
                while True:
                    order = await self._read_order(user_symbol.user, order_id)
                    if not order.status.is_open or order.time_in_force is not TimeInForce.DAY:
                        break
                    await asyncio.sleep(POLL_INTERVAL_SECONDS)

    async def _run_order(self, manual_order: ManualOrder, step: int) -> None:
        user_symbol, place = manual_order.user_symbol, manual_order.place_order
        order_id = self._order_ids.get(user_symbol)
        if order_id is not None:
            order = await self._read_order(user_symbol.user, order_id)
            if order.status.is_open:
                await self._change_order(manual_order, order, step)
                return
        placed = await self._requester.request_until_answered(
            orders.SERVICE,
            orders.PLACE,
            place,
            orders.OrderReply,
            f"place-{place.client_order_id}",
        )
        self._order_ids[user_symbol] = placed.order.order_id
        await self._wait_until_broker_idle()
        if not manual_order.stays_open:
            await self.cancel(user_symbol.user, placed.order.order_id, step)

    async def _change_order(self, manual_order: ManualOrder, order: Order, step: int) -> None:
        user, order_id = manual_order.user_symbol.user, order.order_id
        match manual_order.if_open:
            case OpenOrderAction.CANCEL:
                await self.cancel(user, order_id, step)
            case OpenOrderAction.REPLACE:
                request = self._replace_request(user, order, manual_order.replacement)
                await self._replace(request, step)
            case OpenOrderAction.RACE:
                qty = order.filled_qty + manual_order.replacement.qty
                request = orders.ReplaceOrder(user_id=user, order_id=order_id, qty=qty)
                await asyncio.gather(
                    self._replace(request, step), self.cancel(user, order_id, step, RACE_REASON)
                )
            case OpenOrderAction.LEAVE:
                pass

    def _replace_request(
        self, user: str, order: Order, replacement: PlannedReplacement
    ) -> orders.ReplaceOrder:
        """New terms near the market; a triggered stop keeps its stop price."""
        quote, limit, stop = self._known_quotes[order.symbol], order.limit_price, order.stop_price
        if stop is not None:
            stop = None
            if order.triggered_at is None:
                stop = passive_price(quote.price, order.side, -replacement.offset)
        if limit is not None:
            touch = touch_price(quote, order.side)
            limit = passive_price(touch, order.side, replacement.offset)
        return orders.ReplaceOrder(
            user_id=user,
            order_id=order.order_id,
            qty=order.filled_qty + replacement.qty,
            limit_price=limit,
            stop_price=stop,
        )

    async def _replace(self, request: orders.ReplaceOrder, step: int) -> None:
        """Replace an order; a rejection because it is closed is ignored."""
        await self._requester.request_or_rejection(
            orders.SERVICE,
            orders.REPLACE,
            request,
            orders.OrderReply,
            f"replace-{request.order_id}-{step}",
        )
        await self._wait_until_broker_idle()

    async def _read_order(self, user: str, order_id: str) -> Order:
        found = await self._requester.request_until_answered(
            orders.SERVICE,
            orders.GET,
            orders.GetOrder(user_id=user, order_id=order_id),
            orders.OrderReply,
            "get",
        )
        return found.order

    async def _wait_until_broker_idle(self) -> None:
        await self._quiescence.wait_until_broker_idle(self._republish_quotes)
