"""Who makes news for the pages: items and notifications, put on the tape of a running system."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tapewire.log import new_id
from tapewire.log.jetstream import connect
from tapewire.runtime import Requests, Unanswered
from tapewire.runtime.contracts.insights import ADD, ItemReply, NewItem
from tapewire.runtime.contracts.notifications import SEND, SendNotification, SentReply
from tests.waiting import LOOK_SECONDS

WAIT_SECONDS = 60.0


class Newsroom:
    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def publish(self, title: str, *tickers: str, tags: tuple[str, ...] = ()) -> str:
        """An item; its id."""
        item = NewItem(title=title, source="the newsroom", tickers=tickers, tags=tags)
        command_id = new_id()
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                with contextlib.suppress(Unanswered):
                    reply = await self._requests.ask(
                        "insights", ADD, item, ItemReply, correlation="test", command_id=command_id
                    )
                    return reply.item.id
                await asyncio.sleep(LOOK_SECONDS)

    async def tell(self, user: str, title: str, message: str = "", type_: str = "message") -> str:
        """A notification; its id."""
        told = SendNotification(user_ids=(user,), title=title, message=message, type=type_)
        command_id = new_id()
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                with contextlib.suppress(Unanswered):
                    reply = await self._requests.ask(
                        "alerts", SEND, told, SentReply, correlation="test", command_id=command_id
                    )
                    return reply.ids[0]
                await asyncio.sleep(LOOK_SECONDS)


@contextlib.asynccontextmanager
async def newsroom(nats_url: str) -> AsyncIterator[Newsroom]:
    wire = await connect(nats_url, "test newsroom")
    try:
        yield Newsroom(Requests(wire))
    finally:
        await wire.close()
