"""Placing a strategy's orders with the orders service, until it is certain what became of them.

An order has its clientOrderId, and so its id, before it is placed: placing it again, by whoever and
however often, meets the same order. So an order that was begun is placed until there is an answer.
"""

import random
from typing import Protocol

import structlog

from services.strategies.roster import Member
from tapewire.events import OrderType, StrategyOrder
from tapewire.log import Refusal
from tapewire.log.patience import Patience
from tapewire.runtime import Requests, Unanswered
from tapewire.runtime.contracts import orders as asked

logger = structlog.get_logger("strategies.placing")


class Orders(Protocol):
    """What is asked of the orders service. Both raise Refusal and Unanswered."""

    async def place(self, request: asked.PlaceOrder, correlation: str, command_id: str) -> None: ...

    async def get(self, request: asked.GetOrder, correlation: str) -> None:
        """Refused as ``not_found`` when there is none."""


class AskedOrders:
    """The orders service, asked over NATS."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def place(self, request: asked.PlaceOrder, correlation: str, command_id: str) -> None:
        await self._requests.ask(
            asked.SERVICE,
            asked.PLACE,
            request,
            asked.OrderReply,
            correlation=correlation,
            command_id=command_id,
        )

    async def get(self, request: asked.GetOrder, correlation: str) -> None:
        await self._requests.ask(
            asked.SERVICE, asked.GET, request, asked.OrderReply, correlation=correlation
        )


async def place(
    orders: Orders, member: Member, order: StrategyOrder, chance: random.Random
) -> str | None:
    """Place the order that `member` has under way; why it was refused, None when it is there."""
    request = asked.PlaceOrder(
        user_id=member.user,
        symbol=member.strategy.symbol,
        side=order.side,
        type=OrderType.MARKET,
        qty=order.qty,
        client_order_id=order.client_order_id,
        strategy_id=member.strategy.strategy_id,
    )
    patience = Patience(chance)
    while True:
        try:
            await orders.place(request, member.correlation, order.client_order_id)
        except Refusal as refusal:
            if await _missing(orders, member, order, patience):
                return refusal.message
            return None
        except Unanswered as error:
            logger.warning("cannot place now", order=order.client_order_id, error=str(error))
            await patience.wait()
        else:
            return None


async def _missing(
    orders: Orders, member: Member, order: StrategyOrder, patience: Patience
) -> bool:
    """Whether a refused order really is not there: it may have been placed before, by an answer
    that was lost, and be refused now because the market is not what it was then."""
    request = asked.GetOrder(user_id=member.user, order_id=order.order_id)
    while True:
        try:
            await orders.get(request, member.correlation)
        except Refusal:
            return True
        except Unanswered:
            await patience.wait()
        else:
            return False
