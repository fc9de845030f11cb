"""Publishes items and notifications for the pages to the event log of a running system."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tapewire.log import new_id
from tapewire.log.jetstream import connect
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts.insights import ADD, ItemReply, NewItem
from tapewire.runtime.contracts.notifications import SEND, SendNotification, SendReply
from tests.harness.waiting import POLL_INTERVAL_SECONDS

REPLY_TIMEOUT_SECONDS = 60.0


class PageEventPublisher:
    def __init__(self, requests: RequestClient) -> None:
        self._requests = requests

    async def publish_item(self, title: str, *tickers: str, tags: tuple[str, ...] = ()) -> str:
        """Publish an item; return its id."""
        item = NewItem(title=title, source="the newsroom", tickers=tickers, tags=tags)
        command_id = new_id()
        async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
            while True:
                with contextlib.suppress(RequestTimeout):
                    reply = await self._requests.request(
                        "insights", ADD, item, ItemReply, correlation="test", command_id=command_id
                    )
                    return reply.item.id
                await asyncio.sleep(POLL_INTERVAL_SECONDS)

    async def publish_notification(
        self, user: str, title: str, message: str = "", type_: str = "message"
    ) -> str:
        """Publish a notification; return its id."""
        request = SendNotification(user_ids=(user,), title=title, message=message, type=type_)
        command_id = new_id()
        async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
            while True:
                with contextlib.suppress(RequestTimeout):
                    reply = await self._requests.request(
                        "alerts",
                        SEND,
                        request,
                        SendReply,
                        correlation="test",
                        command_id=command_id,
                    )
                    return reply.ids[0]
                await asyncio.sleep(POLL_INTERVAL_SECONDS)


@contextlib.asynccontextmanager
async def open_page_event_publisher(nats_url: str) -> AsyncIterator[PageEventPublisher]:
    connection = await connect(nats_url, "test newsroom")
    try:
        yield PageEventPublisher(RequestClient(connection))
    finally:
        await connection.close()
