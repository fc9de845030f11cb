"""A durable subscription: every fill of at least 100 shares becomes an alert to its user.

The subscription begins with the first event of the log and continues where it stopped, in one of
the processes that run this program. An event is handled again if the program was killed or raised
an error. The id of the alert is derived from the event, so the user is alerted once.

The program ends after as many alerts as its first argument states; without an argument it runs on.
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

    async with tapewire.connect(url, "large-fills") as client:

        async def handle(recorded: tapewire.RecordedEvent) -> None:
            try:
                event = recorded.event
            except tapewire.UnknownType:
                return  # an event type of a newer Tapewire
            if not isinstance(event, OrderFilled) or event.qty < LARGE:
                return
            order = event.order
            text = f"{order.side.value} {event.qty} {order.symbol} at {event.price}"
            await client.alert(user=recorded.event_subject.owner, message=text, symbol=order.symbol)
            await alerted.put(text)

        await client.subscribe_durable("alerts", tapewire.pattern(domain="orders"), handle)
        print("subscribed", flush=True)
        while wanted > 0:
            print(f"alerted: {await alerted.get()}", flush=True)
            wanted -= 1


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")))
