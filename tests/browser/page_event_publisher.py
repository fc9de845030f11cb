"""Publishes items and notifications for the pages to the event log of a running system."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tapewire.log.jetstream import connect
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts.insights import ADD, ItemReply, NewItem
from tapewire.runtime.contracts.notifications import SEND, SendNotification, SendReply
from tests.harness.repeated_requests import request_until_answered


class PageEventPublisher:
    def __init__(self, requests: RequestClient) -> None:
        self.requests = requests

    async def publish_item(self, title: str, *tickers: str, tags: tuple[str, ...] = ()) -> str:
        """Publish an item; return its id."""
        item = NewItem(title=title, source="the newsroom", tickers=tickers, tags=tags)
        reply = await request_until_answered(self.requests, "insights", ADD, item, ItemReply)
        return reply.item.id

    async def publish_notification(
        self,
        user: str,
        title: str,
        message: str = "",
        type_: str = "message",
        payload: Mapping[str, Any] | None = None,
    ) -> str:
        """Publish a notification; return its id."""
        request = SendNotification(
            user_ids=(user,), title=title, message=message, type=type_, payload=dict(payload or {})
        )
        reply = await request_until_answered(self.requests, "alerts", SEND, request, SendReply)
        return reply.ids[0]


@contextlib.asynccontextmanager
async def open_page_event_publisher(nats_url: str) -> AsyncIterator[PageEventPublisher]:
    connection = await connect(nats_url, "test newsroom")
    try:
        yield PageEventPublisher(RequestClient(connection))
    finally:
        await connection.close()
