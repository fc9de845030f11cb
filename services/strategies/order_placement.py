"""Places and cancels a strategy's orders with the orders service, and retries until the outcome is
certain.

A strategy's order has its client order id, and therefore its order id, before it is placed. Placing
it again, from any process, reaches the same order. So a pending order is placed until the orders
service answers. Start at `place_until_answered`.
"""

import random
from typing import Protocol

import structlog

from tapewire.events import StrategyOrder
from tapewire.log import CommandRejected
from tapewire.log.backoff import Backoff
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts import orders
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.domain.command_builders import (
    build_cancel_order,
    build_place_order,
)

logger = structlog.get_logger("strategies")


class OrderClient(Protocol):
    """The requests to the orders service. All raise CommandRejected and RequestTimeout."""

    async def place_order(
        self, request: orders.PlaceOrder, correlation: str, command_id: str
    ) -> None: ...

    async def cancel_order(
        self, request: orders.CancelOrder, correlation: str, command_id: str
    ) -> None: ...

    async def get_order(self, request: orders.GetOrder, correlation: str) -> None:
        """Rejected as ``not_found`` when there is no such order."""


class NatsOrderClient:
    """Sends the requests over NATS."""

    def __init__(self, request_client: RequestClient) -> None:
        self._request_client = request_client

    async def place_order(
        self, request: orders.PlaceOrder, correlation: str, command_id: str
    ) -> None:
        await self._request_client.request(
            orders.SERVICE,
            orders.PLACE,
            request,
            orders.OrderReply,
            correlation=correlation,
            command_id=command_id,
        )

    async def cancel_order(
        self, request: orders.CancelOrder, correlation: str, command_id: str
    ) -> None:
        await self._request_client.request(
            orders.SERVICE,
            orders.CANCEL,
            request,
            orders.OrderReply,
            correlation=correlation,
            command_id=command_id,
        )

    async def get_order(self, request: orders.GetOrder, correlation: str) -> None:
        await self._request_client.request(
            orders.SERVICE, orders.GET, request, orders.OrderReply, correlation=correlation
        )


async def place_until_answered(
    order_client: OrderClient,
    tracked: TrackedStrategy,
    order: StrategyOrder,
    rng: random.Random,
    split_count: int,
) -> str | None:
    """Place the pending order of `tracked`, whose terms follow that many splits of the symbol.
    Return why it was rejected, or None when it exists."""
    request = build_place_order(tracked, order, split_count)
    backoff = Backoff(rng)
    while True:
        try:
            await order_client.place_order(request, tracked.correlation, order.client_order_id)
        except CommandRejected as error:
            if await _is_order_missing(order_client, tracked, order, backoff):
                return error.message
            return None
        except RequestTimeout as error:
            logger.warning(
                "order.placement_failed", client_order_id=order.client_order_id, error=str(error)
            )
            await backoff.wait()
        else:
            return None


async def cancel_until_answered(
    order_client: OrderClient, tracked: TrackedStrategy, order: StrategyOrder, rng: random.Random
) -> None:
    """Cancel `order` of `tracked`. Its end arrives as an event; an order that cannot be canceled
    has ended."""
    request = build_cancel_order(tracked, order)
    command_id, backoff = f"{order.order_id}.cancel", Backoff(rng)
    while True:
        try:
            await order_client.cancel_order(request, tracked.correlation, command_id)
        except CommandRejected as error:
            logger.info(
                "order.cancel_rejected", client_order_id=order.client_order_id, reason=error.message
            )
            return
        except RequestTimeout as error:
            logger.warning(
                "order.cancel_failed", client_order_id=order.client_order_id, error=str(error)
            )
            await backoff.wait()
        else:
            return


async def _is_order_missing(
    order_client: OrderClient, tracked: TrackedStrategy, order: StrategyOrder, backoff: Backoff
) -> bool:
    """Whether a rejected order does not exist. An earlier request, whose answer was lost, may have
    placed it; a later one is then rejected because the market has changed since."""
    request = orders.GetOrder(user_id=tracked.user, order_id=order.order_id)
    while True:
        try:
            await order_client.get_order(request, tracked.correlation)
        except CommandRejected:
            return True
        except RequestTimeout:
            await backoff.wait()
        else:
            return False
