"""Lets one edge process change a stream that is open on another.

The process that receives a client's request asks all others; the one that has the stream changes
it and replies. A process without that stream stays silent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.cluster.channel import Channel

TOPIC = "edge.change"
MAX_SYMBOLS = 500
MAX_TOPICS = MAX_SYMBOLS + 100
"""Topics of one change. A symbol of prices, and a series of bars, is a topic."""
MAX_TEXT_CHARACTERS = 80
"""Characters of a topic, which may have a symbol of 64."""
MAX_CONCURRENT_CHANGES = 1000
"""Changes that a process makes for others at the same time; it ignores further ones."""

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARACTERS)]


class StreamChange(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What to change of a stream: the fields that are given. `topics` are those of a stream's URL,
    such as ``prices:IBM``. `symbols` null means all."""

    topics: (
        Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_TOPICS)] | msgspec.UnsetType
    ) = msgspec.UNSET
    symbols: (
        Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_SYMBOLS)]
        | msgspec.UnsetType
        | None
    ) = msgspec.UNSET
    max_rate: float | msgspec.UnsetType = msgspec.UNSET


class ShownContent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a stream shows. `symbols` null means all. `unknown` names those of them that have no
    quote; it is there if there are any."""

    client_id: str
    topics: list[str]
    symbols: list[str] | None
    max_rate: float
    unknown: list[str] | msgspec.UnsetType = msgspec.UNSET


class ChangeFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stream was not changed, as an HTTP error."""

    status: int
    message: str
    path: str | None = None
    value: Any = msgspec.UNSET


class ChangeRequest(msgspec.Struct, frozen=True, kw_only=True, tag="change"):
    """Asks to change the stream `client_id` if it is one of `user_id`, who asks in the session
    `session_id`, perhaps as an admin. Without a user it is one without a session, which has the
    `change_key`."""

    request_id: str
    client_id: str
    user_id: str | None
    session_id: str | None
    expires_at: datetime | None
    change: StreamChange
    is_admin: bool = False
    change_key: str | None = None


class ChangeReply(msgspec.Struct, frozen=True, kw_only=True, tag="changed"):
    """The result of the request `request_id`: what the stream shows, or why it is unchanged."""

    request_id: str
    content: ShownContent | None = None
    failure: ChangeFailure | None = None


class StreamChangeExchange:
    """The requests of this process to the others, and theirs to this one."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._channel: Channel[ChangeRequest | ChangeReply] = Channel(
            broadcast, TOPIC, ChangeRequest | ChangeReply
        )
        self._waiting: dict[str, asyncio.Future[ChangeReply]] = {}
        self._changes: set[asyncio.Task[None]] = set()

    async def request(self, request: ChangeRequest, timeout_seconds: float) -> ChangeReply | None:
        """Ask the other processes. Return None when none has answered in time."""
        request_id = request.request_id
        reply: asyncio.Future[ChangeReply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = reply
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._channel.publish(request)
                return await reply
        except TimeoutError:
            return None
        finally:
            del self._waiting[request_id]

    async def run(
        self,
        change_stream: Callable[[ChangeRequest], Awaitable[ChangeReply]],
        has_stream: Callable[[str], bool],
    ) -> None:
        """Answer the other processes by `change_stream`, if `has_stream` of the client id, until
        cancelled."""

        async def answer(request: ChangeRequest) -> None:
            await self._channel.publish(await change_stream(request))

        def receive(message: ChangeRequest | ChangeReply) -> None:
            if isinstance(message, ChangeReply):
                waiting = self._waiting.get(message.request_id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            elif (
                message.request_id not in self._waiting
                and has_stream(message.client_id)
                and len(self._changes) < MAX_CONCURRENT_CHANGES
            ):
                task = asyncio.create_task(answer(message))
                self._changes.add(task)
                task.add_done_callback(self._changes.discard)

        async with self._channel.subscribe(receive):
            await asyncio.Event().wait()
