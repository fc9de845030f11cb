"""One request for a stream, and its response, until either ends.

Reconnecting and the meaning of events are in `reader`. A connection that replaces another one holds
its events back until `release`, so that the caller sees one stream. Start at `_run`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import httpx

from tapewire.sse.protocol.outcomes import (
    EVENT_STREAM,
    FINAL_EVENTS,
    EndedCleanly,
    HeldBack,
    RequestFailed,
    RequestOutcome,
)
from tapewire.sse.protocol.parser import (
    CommentLine,
    EventBlock,
    EventStreamParser,
    IdBlock,
    RetryField,
    StreamPart,
)
from tapewire.sse.requests import (
    CONNECTION_ERRORS,
    CredentialsOutdated,
    StreamRequestSender,
    failure_of,
    read_refusal,
)

SILENT_KEEPALIVES = 2.5
"""A connection that is silent for this many keepalive intervals counts as dead."""
MAX_HELD_PARTS = 10_000
"""A connection that holds back so many events counts as caught up."""
WENT_SILENT = "the server went silent"
_LIVE_COMMENT = "live"
_TERMINAL_EVENTS = frozenset({"stream:reset", *FINAL_EVENTS})
"""Events that must be handled at once, and that another connection would not avoid."""


class StreamReceiver(Protocol):
    """Who receives what arrives on a connection."""

    position: str
    keepalive_seconds: float
    poll_after_seconds: float | None

    def receive_open(self) -> None: ...
    def receive_bytes(self) -> None: ...
    def receive_event(self, event_type: str, text: str, event_id: str | None) -> None: ...
    def receive_id(self, event_id: str) -> None: ...
    def receive_retry(self, seconds: float) -> None: ...
    async def wait_for_room(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _StreamOpening:
    """The response is a stream."""


class StreamConnection:
    """Requests the stream at once, in a task of its own.

    Args:
        on_ready: Hold events back until `release`, and call this when the stream has caught up;
            None: deliver them at once.
    """

    def __init__(
        self,
        sender: StreamRequestSender,
        receiver: StreamReceiver,
        on_ready: Callable[[], object] | None = None,
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._on_ready = on_ready
        self._held: list[StreamPart | _StreamOpening] | None = None if on_ready is None else []
        self._has_greeting = False
        self._has_live_comment = False
        self._is_aborted = False
        self.is_open = False
        """Whether the response is a stream."""
        self._task = asyncio.create_task(self._run())

    async def wait(self) -> RequestOutcome:
        """Wait until the request has ended. Raises what a function of the caller raised."""
        return await wait_for_outcome(self._task)

    def abort(self) -> None:
        """Give the request up; nothing is delivered after this."""
        self._is_aborted = True
        self._held = None
        self._task.cancel()

    def release(self) -> None:
        """Deliver what was held back, and from now on everything at once."""
        held, self._held = self._held or [], None
        for part in held:
            if not self._is_aborted:
                self._deliver(part)

    async def _run(self) -> RequestOutcome:
        while True:
            try:
                await self._sender.credentials.prepare()  # the deadline is the server's
            except CONNECTION_ERRORS as error:
                return failure_of(error)
            with contextlib.suppress(CredentialsOutdated):
                return await self._request()

    async def _request(self) -> RequestOutcome:
        """Send one request and read its response. Raises CredentialsOutdated."""
        deadline = asyncio.timeout(self._silence_limit())
        try:
            async with deadline, self._sender.open_stream(self._receiver.position) as response:
                refusal = await read_refusal(response, EVENT_STREAM)
                if refusal is not None:
                    return refusal
                await self._read(response, deadline)
                return EndedCleanly()
        except CONNECTION_ERRORS as error:
            if not deadline.expired():
                return failure_of(error)
            is_held_back = not self._has_live_comment and self._receiver.poll_after_seconds
            return HeldBack() if is_held_back else RequestFailed(WENT_SILENT)

    async def _read(self, response: httpx.Response, deadline: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        parser = EventStreamParser()
        self.is_open = True
        self._deliver_or_hold(_StreamOpening())
        deadline.reschedule(loop.time() + self._silence_limit())
        async for chunk in response.aiter_bytes():
            deadline.reschedule(None)
            if self._held is None:
                self._receiver.receive_bytes()
            for part in parser.feed(chunk):
                if self._is_aborted:
                    return
                self._process(part)
            if self._held is None:
                await self._receiver.wait_for_room()
            deadline.reschedule(loop.time() + self._silence_limit())

    def _silence_limit(self) -> float:
        """How long nothing may arrive, in seconds. A stream sends everything that it begins with,
        and then the comment `live`, without a pause."""
        if not self._has_live_comment and self._receiver.poll_after_seconds:
            return self._receiver.poll_after_seconds
        return self._receiver.keepalive_seconds * SILENT_KEEPALIVES

    def _process(self, part: StreamPart) -> None:
        if isinstance(part, CommentLine):
            if part.text == _LIVE_COMMENT:
                self._has_live_comment = True
                if self._has_greeting:
                    self._report_ready()
            return
        self._deliver_or_hold(part)
        if isinstance(part, EventBlock):
            self._has_greeting = self._has_greeting or part.type.lower() == "connected"
            if part.type in _TERMINAL_EVENTS:
                self._report_ready()

    def _deliver_or_hold(self, part: StreamPart | _StreamOpening) -> None:
        if self._held is None:
            self._deliver(part)
            return
        self._held.append(part)
        if len(self._held) >= MAX_HELD_PARTS:
            self._report_ready()

    def _deliver(self, part: StreamPart | _StreamOpening) -> None:
        match part:
            case EventBlock():
                self._receiver.receive_event(part.type, part.data, part.id)
            case IdBlock():
                self._receiver.receive_id(part.id)
            case RetryField():
                self._receiver.receive_retry(part.milliseconds / 1000)
            case _StreamOpening():
                self._receiver.receive_open()
            case CommentLine():
                pass

    def _report_ready(self) -> None:
        # A released connection does not wait to become ready.
        if self._held is not None and self._on_ready is not None:
            self._on_ready()


async def wait_for_outcome(task: asyncio.Task[RequestOutcome]) -> RequestOutcome:
    """Wait for `task`, which somebody else may cancel."""
    await asyncio.wait([task])
    return RequestFailed("given up") if task.cancelled() else task.result()
