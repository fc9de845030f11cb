"""React durably: every fill of at least 100 shares becomes an alert to its user.

The reaction begins with the first event ever and goes on where it stopped, in one of all the
processes that run this program. An event is handled again when the program died or raised; the
alert has an id made of the event, so the user is alerted once.

Ends after as many alerts as the first argument says; without one, never.
"""

import asyncio
import os
import sys

import tapewire
from tapewire.events import OrderFilled

LARGE = 100


async def main(wanted: float) -> None:
    url = os.environ.get("TAPEWIRE_NATS_URL", "nats://127.0.0.1:4222")
    alerted = asyncio.Queue[str]()

    async with tapewire.connect(url, "large-fills") as tape:

        async def handle(recorded: tapewire.RecordedEvent) -> None:
            try:
                event = recorded.event
            except tapewire.UnknownType:
                return  # a newer Tapewire says things that this program does not know
            if not isinstance(event, OrderFilled) or event.qty < LARGE:
                return
            order = event.order
            told = f"{order.side.value} {event.qty} {order.symbol} at {event.price}"
            await tape.alert(user=recorded.event_subject.owner, message=told, symbol=order.symbol)
            await alerted.put(told)

        await tape.subscribe_durable("alerts", tapewire.pattern(domain="orders"), handle)
        print("reacting", flush=True)
        while wanted > 0:
            print(f"alerted: {await alerted.get()}", flush=True)
            wanted -= 1


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")))
