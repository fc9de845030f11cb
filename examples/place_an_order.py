"""Sends requests to a service: places a market order, waits for its fill, and handles a rejection.

Requests and replies are typed. A request is retried when no service answers; because a command has
an id, it is carried out once.
"""

import asyncio
import os
import sys
from decimal import Decimal

import tapewire
from tapewire.events import OrderType, Side

orders = tapewire.contracts.orders
"""The requests of the orders service."""


async def main(symbol: str, qty: int) -> None:
    url = os.environ.get("TAPEWIRE_NATS_URL", "nats://127.0.0.1:4222")
    async with tapewire.connect(url, "rebalancer") as client:
        wanted = orders.PlaceOrder(
            user_id="alice", symbol=symbol, side=Side.BUY, type=OrderType.MARKET, qty=Decimal(qty)
        )
        order = (await client.request(orders.PLACE_ORDER, wanted)).order
        print(f"placed {order.side.value} {order.qty} {order.symbol}")

        asked = orders.GetOrder(user_id="alice", order_id=order.order_id)
        while order.status.is_open:
            await asyncio.sleep(0.05)
            order = (await client.request(orders.GET_ORDER, asked)).order
        print(f"{order.status.value}: {order.filled_qty} shares")

        try:
            await client.request(
                orders.CANCEL_ORDER, orders.CancelOrder(user_id="alice", order_id="x")
            )
        except tapewire.CommandRejected as refusal:
            print(f"refused: {refusal.code}, {refusal.message}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "IBM", 10))
