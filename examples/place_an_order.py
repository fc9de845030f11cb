"""Ask a service: place a market order, wait until it is filled, and see a refusal.

A question is typed on both sides, is asked again when nobody answers, and, being a command with an
id, is done once.
"""

import asyncio
import os
import sys
from decimal import Decimal

import tapewire
from tapewire.events import OrderType, Side

orders = tapewire.contracts.orders
"""What can be asked of the orders service."""


async def main(symbol: str, qty: int) -> None:
    url = os.environ.get("TAPEWIRE_NATS_URL", "nats://127.0.0.1:4222")
    async with tapewire.connect(url, "rebalancer") as tape:
        wanted = orders.PlaceOrder(
            user_id="alice", symbol=symbol, side=Side.BUY, type=OrderType.MARKET, qty=Decimal(qty)
        )
        order = (await tape.request(orders.PLACE_ORDER, wanted)).order
        print(f"placed {order.side.value} {order.qty} {order.symbol}")

        asked = orders.GetOrder(user_id="alice", order_id=order.order_id)
        while order.status.is_open:
            await asyncio.sleep(0.05)
            order = (await tape.request(orders.GET_ORDER, asked)).order
        print(f"{order.status.value}: {order.filled_qty} shares")

        try:
            await tape.request(
                orders.CANCEL_ORDER, orders.CancelOrder(user_id="alice", order_id="x")
            )
        except tapewire.CommandRejected as refusal:
            print(f"refused: {refusal.code}, {refusal.message}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "IBM", 10))
