"""Placing a strategy's orders with the orders service, until it is certain what became of them.

An order has its clientOrderId, and so its id, before it is placed: placing it again, by whoever and
however often, meets the same order. So an order that was begun is placed until there is an answer.
"""

import random
from typing import Protocol

import structlog

from tapewire.events import OrderType, StrategyOrder
from tapewire.log import CommandRejected
from tapewire.log.backoff import Backoff
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts import orders as asked
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy

logger = structlog.get_logger("strategies.placing")


class OrderClient(Protocol):
    """What is asked of the orders service. Both raise Refusal and Unanswered."""

    async def place_order(
        self, request: asked.PlaceOrder, correlation: str, command_id: str
    ) -> None: ...

    async def get_order(self, request: asked.GetOrder, correlation: str) -> None:
        """Refused as ``not_found`` when there is none."""


class NatsOrderClient:
    """The orders service, asked over NATS."""

    def __init__(self, request_client: RequestClient) -> None:
        self._request_client = request_client

    async def place_order(
        self, request: asked.PlaceOrder, correlation: str, command_id: str
    ) -> None:
        await self._request_client.request(
            asked.SERVICE,
            asked.PLACE,
            request,
            asked.OrderReply,
            correlation=correlation,
            command_id=command_id,
        )

    async def get_order(self, request: asked.GetOrder, correlation: str) -> None:
        await self._request_client.request(
            asked.SERVICE, asked.GET, request, asked.OrderReply, correlation=correlation
        )


async def place_until_answered(
    order_client: OrderClient, tracked: TrackedStrategy, order: StrategyOrder, rng: random.Random
) -> str | None:
    """Place the order that `member` has under way; why it was refused, None when it is there."""
    request = asked.PlaceOrder(
        user_id=tracked.user,
        symbol=tracked.strategy.symbol,
        side=order.side,
        type=OrderType.MARKET,
        qty=order.qty,
        client_order_id=order.client_order_id,
        strategy_id=tracked.strategy.strategy_id,
    )
    patience = Backoff(rng)
    while True:
        try:
            await order_client.place_order(request, tracked.correlation, order.client_order_id)
        except CommandRejected as refusal:
            if await _is_order_missing(order_client, tracked, order, patience):
                return refusal.message
            return None
        except RequestTimeout as error:
            logger.warning("cannot place now", order=order.client_order_id, error=str(error))
            await patience.wait()
        else:
            return None


async def _is_order_missing(
    order_client: OrderClient, tracked: TrackedStrategy, order: StrategyOrder, backoff: Backoff
) -> bool:
    """Whether a refused order really is not there: it may have been placed before, by an answer
    that was lost, and be refused now because the market is not what it was then."""
    request = asked.GetOrder(user_id=tracked.user, order_id=order.order_id)
    while True:
        try:
            await order_client.get_order(request, tracked.correlation)
        except CommandRejected:
            return True
        except RequestTimeout:
            await backoff.wait()
        else:
            return False
