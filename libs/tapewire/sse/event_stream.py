"""`stream`: an edge's event stream as an async iterator that resumes by itself."""

import asyncio
import random
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from tapewire.sse.credentials import HeaderSource, StreamCredentials, TokenSource
from tapewire.sse.event import StreamEvent
from tapewire.sse.protocol.addresses import (
    TimeOrId,
    add_parameter,
    check_event_id,
    check_url,
    format_place,
)
from tapewire.sse.protocol.stale_symbols import StaleSymbols
from tapewire.sse.reader import StreamReader
from tapewire.sse.state import StreamState
from tapewire.values import InvalidArgument

POLL_AFTER_SECONDS = 2.5
"""A stream that is held back for so long is replaced by polls."""


class EventStream:
    """Create it with `stream`. It connects when it is first iterated, or entered as a context.

    One task iterates. The others may use the properties, `retry_now` and `close`.
    """

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._last_event_id = reader.position
        self._stale = StaleSymbols()
        self._task: asyncio.Task[None] | None = None

    @property
    def last_event_id(self) -> str:
        """The id to resume from: of the last event that the iterator returned, or of a checkpoint
        after it; "" for none.

        A program that must survive its own restart stores it together with the effects of the
        event, and passes it to `stream`.
        """
        return self._last_event_id

    @property
    def state(self) -> StreamState:
        """What the stream does at the moment."""
        return self._reader.reporter.state

    @property
    def is_silent(self) -> bool:
        """Whether all prices of the stream may be too old: it is not live, or nothing has arrived
        for three of the server's intervals."""
        return self.state.name != "live" or self.state.is_silent

    @property
    def stale_symbols(self) -> frozenset[str]:
        """The symbols whose quote the server calls stale, as of the last returned event."""
        return self._stale.symbols

    def retry_now(self) -> None:
        """End the wait before the next try."""
        self._reader.retry_now()

    async def close(self) -> None:
        """Close the stream for good. The iterator ends, and returns no further event."""
        self._reader.stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    aclose = close

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        """Wait for the next event.

        Raises:
            StreamEnded: One of its subclasses, when connecting again would not help.
        """
        self._start()
        while True:
            event, self._last_event_id = await self._reader.buffer.get()
            if event is not None:
                self._stale.receive_event(event.type, event.data)
                return event

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._reader.run())
            # A loop that is left by `break` drops the stream without closing it.
            weakref.finalize(self, _cancel, asyncio.get_running_loop(), self._task).atexit = False


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(task.cancel)


def stream(
    url: str,
    *,
    last_event_id: str = "",
    since: TimeOrId | None = None,
    until: TimeOrId | None = None,
    token: TokenSource | None = None,
    user: str | None = None,
    headers: HeaderSource | None = None,
    cookies: Mapping[str, str] | None = None,
    on_state: Callable[[StreamState], object] | None = None,
    poll_after_seconds: float | None = POLL_AFTER_SECONDS,
    **http_options: Any,
) -> EventStream:
    """Read the stream at `url` until it is closed, and return its events.

        async with tapewire.stream("http://127.0.0.1:8000/api/stream/prices") as events:
            async for event in events:
                print(event.type, event.data)

    After any end it connects again and resumes after the last event, so that every event with an id
    comes once and in order. It stops for good when connecting again would not help: then the
    iterator raises a `StreamEnded`. A replay with `until` ends after `replay:complete`.

    Checkpoints and the notice of a stopping server are not returned; a `stream:reset` is, and a
    snapshot follows it: discard the state that was built up.

    Args:
        url: With its query, such as ``…/api/stream?topics=orders,prices:IBM``.
        last_event_id: Resume after this id, instead of beginning with a snapshot.
        since: Replay what followed this time or id.
        until: End the replay at this time or id.
        token: A bearer token, or a function that returns one. It may be async, and is called again
            after a 401 and before a JWT ends. `OSError` and `httpx.HTTPError` of it count as a
            failed connection; its other errors end the stream.
        user: The user that the stream is meant for. If somebody else is signed in,
            `AnotherUserSignedIn` is raised.
        headers: Sent with each request; may be a function as `token`.
        cookies: For example ``{"session": …}``.
        on_state: Called with each new `StreamState`. An error of it goes to the loop's exception
            handler.
        poll_after_seconds: A stream that sends nothing for so long before it has caught up is held
            back by something on the way, and replaced by long-polling. None: never poll.
        http_options: Further arguments of `httpx.AsyncClient`: `verify`, `proxy`, `trust_env`, ….

    Raises:
        InvalidArgument: An argument is malformed.
    """
    return EventStream(
        create_reader(
            url,
            last_event_id=last_event_id,
            since=since,
            until=until,
            token=token,
            user=user,
            headers=headers,
            cookies=cookies,
            on_state=on_state,
            poll_after_seconds=poll_after_seconds,
            http_options=http_options,
        )
    )


def create_reader(
    url: str,
    *,
    last_event_id: str,
    since: TimeOrId | None,
    until: TimeOrId | None,
    token: TokenSource | None,
    user: str | None,
    headers: HeaderSource | None,
    cookies: Mapping[str, str] | None,
    on_state: Callable[[StreamState], object] | None,
    poll_after_seconds: float | None,
    http_options: Mapping[str, Any],
) -> StreamReader:
    """Return a reader for the arguments of `stream`. Raises InvalidArgument."""
    url = check_url(url)
    for name, place in (("since", since), ("until", until)):
        if place is not None:
            url = add_parameter(url, name, format_place(name, place))
    if user is not None and (not isinstance(user, str) or not user):
        raise InvalidArgument("user", user, "must be the id of a user")
    if poll_after_seconds is not None and not poll_after_seconds > 0:
        raise InvalidArgument("poll_after_seconds", poll_after_seconds, "must be above 0, or None")
    return StreamReader(
        url,
        StreamCredentials(token, headers, user),
        # Our own deadlines depend on what the server announces.
        {"cookies": dict(cookies or {}), **http_options, "timeout": None},
        position=check_event_id("last_event_id", last_event_id),
        poll_after_seconds=poll_after_seconds,
        on_state=on_state,
        random=random.random,
    )
