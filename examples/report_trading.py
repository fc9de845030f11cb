"""Reports what your own trading program does, with one call for each event.

Users see the reports on their streams and are notified of stop-losses and errors. Reports place no
orders in Tapewire and change no positions.
"""

import asyncio
import os

import tapewire


async def main() -> None:
    url = os.environ.get("TAPEWIRE_NATS_URL", "nats://127.0.0.1:4222")
    async with tapewire.connect(url, "momentum-desk") as client:
        await client.price("ACME", 101.5, bid=101.45, ask=101.55, day_open=100)
        await client.strategy_started(
            user="alice", strategy_id="mom-7", symbol="ACME", message="the desk is open"
        )
        await client.decision(
            user="alice", strategy_id="mom-7", symbol="ACME", action="buy", confidence=0.8,
            reasoning="1.5 % up on twice the usual volume",
        )  # fmt: skip
        await client.order_executed(
            user="alice", strategy_id="mom-7", order_id="mom-7-1", symbol="ACME", side="buy",
            quantity=100, price=101.55,
        )  # fmt: skip
        await client.strategy_updated(
            user="alice", strategy_id="mom-7", symbol="ACME", position=100
        )

        await client.price("ACME", 99.4, bid=99.35, ask=99.45, day_open=100)
        await client.stop_loss_triggered(
            user="alice", strategy_id="mom-7", symbol="ACME", trigger_price=99.5,
            current_price=99.4, order_id="mom-7-2",
        )  # fmt: skip
        receipt = await client.strategy_stopped(
            user="alice", strategy_id="mom-7", symbol="ACME", message="stopped out"
        )
        print(f"reported; the last event is {receipt.sequence} in the journal")


if __name__ == "__main__":
    asyncio.run(main())
