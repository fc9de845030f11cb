"""Reads one stream through all its connections: reconnects, resumes by id, and hands over.

A lost stream is tried again with growing delays after failures and with the server's `retry:` after
clean ends. The next connection is opened before a stopping server closes this one, or before the
token ends. While a proxy holds the stream back, the reader polls. Start at `_read_until_final`.
"""

import asyncio
import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from tapewire.sse.credentials import StreamCredentials
from tapewire.sse.errors import StreamEnded
from tapewire.sse.event import StreamEvent
from tapewire.sse.event_buffer import EventBuffer
from tapewire.sse.handover import Handover
from tapewire.sse.polling_connection import PollingConnection
from tapewire.sse.protocol import delays
from tapewire.sse.protocol.addresses import replace_content
from tapewire.sse.protocol.greeting import keepalive_seconds
from tapewire.sse.protocol.outcomes import (
    FINAL_EVENTS,
    REPLAY_COMPLETE,
    EndedCleanly,
    FinalAction,
    HeldBack,
    RefusedForGood,
    RequestFailed,
    RequestOutcome,
    error_after,
)
from tapewire.sse.protocol.position import is_news
from tapewire.sse.protocol.quote_order import QuoteOrderFilter
from tapewire.sse.requests import StreamRequestSender
from tapewire.sse.state import StateReporter, StreamState
from tapewire.sse.stream_connection import StreamConnection

KEEPALIVE_SECONDS = 30.0
"""The keepalive interval of a server whose `connected` event has no `keepaliveMs`."""
_DRAINING = "stream:draining"
_RESET = "stream:reset"
_CHECKPOINT = "checkpoint"
_UPDATED = "stream:updated"

Connection = StreamConnection | PollingConnection


class StreamReader:
    """Reads the stream at `url` into `buffer`, from `start` until `stop` or a final event.

    It implements `StreamReceiver`, through which connections deliver.
    """

    def __init__(
        self,
        url: str,
        credentials: StreamCredentials,
        http_options: Mapping[str, Any],
        *,
        position: str,
        poll_after_seconds: float | None,
        on_state: Callable[[StreamState], object] | None,
        random: Callable[[], float],
    ) -> None:
        self.buffer = EventBuffer()
        self.position = position
        self.keepalive_seconds = KEEPALIVE_SECONDS
        self.poll_after_seconds = poll_after_seconds
        self.reporter = StateReporter(on_state, StreamState("connecting", last_event_id=position))
        self._url = url
        self._credentials = credentials
        self._http_options = http_options
        self._random = random
        self._retry_seconds = delays.DEFAULT_RETRY_SECONDS
        self._failures = 0
        self._is_over = False
        self._error: BaseException | None = None
        self._quote_filter = QuoteOrderFilter()
        self._silence = self.reporter.silence
        self._sender: StreamRequestSender
        self._current: Connection | None = None
        self._handover: Handover | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._retry_now = asyncio.Event()

    async def run(self) -> None:
        """Read until the stream is over; then `buffer` is finished."""
        error: BaseException | None = None
        try:
            async with httpx.AsyncClient(**self._http_options) as http:
                self._sender = StreamRequestSender(http, self._url, self._credentials)
                try:
                    await self._read_until_final()
                finally:
                    await self._close_connections()
        except Exception as raised:
            error = raised
        finally:
            self._finish(error)
            reason = str(self._error or "")
            self._report(StreamState("closed", self._failures, reason=reason))

    def stop(self) -> None:
        """End the stream now; nothing more is delivered."""
        self.buffer.discard()
        self._finish(None)

    def retry_now(self) -> None:
        """End the wait before the next try."""
        self._retry_now.set()

    async def _read_until_final(self) -> None:
        while not self._is_over:
            self._report(StreamState("connecting", self._failures))
            outcome = await self._run_connections()
            if isinstance(outcome, RefusedForGood):
                self._finish(outcome.error)
            elif not self._is_over:
                await self._wait_before_retry(outcome)

    async def _run_connections(self) -> RequestOutcome:
        """Return how a connection ended, or the last of those that replaced it."""
        self._current = self._open_stream(None)
        while True:
            connection = self._current
            outcome = await connection.wait()
            if self._current is not connection or self._switch_to_next():
                continue
            if not isinstance(outcome, HeldBack):
                return outcome
            self._start_handover(is_polling=True)
            self._current = PollingConnection(self._sender, self)

    def _open_stream(self, on_ready: Callable[[], object] | None) -> StreamConnection:
        return StreamConnection(self._sender, self, on_ready)

    def _start_handover(self, *, is_polling: bool) -> None:
        """Look for a connection that replaces the current one, which polls or will be closed."""
        if (self._handover is None or self._handover.is_stopped) and not self._is_over:
            self._handover = Handover(
                lambda: self._open_stream(self._switch_to_next),
                self._random,
                is_polling=is_polling,
            )

    def _switch_to_next(self) -> bool:
        """Replace the current connection by the next one, even if that is still opening.

        Both send all events after the same position; those of the next one that were delivered
        already are dropped. Returns False if there is no next one.
        """
        following = None if self._handover is None else self._handover.detach_next()
        self._handover = None
        if following is None or self._current is None:
            return False
        self._current.abort()
        self._current = following
        self._quote_filter.change_connection(asyncio.get_running_loop().time())
        if not following.is_open:
            self._report(StreamState("connecting", self._failures))
        elif self.reporter.state.name != "live" or self.reporter.state.is_polling:
            self._report(StreamState("live", is_silent=self._silence.is_silent))
        following.release()
        return True

    def receive_open(self) -> None:
        """A response is what was asked for."""
        is_polling = isinstance(self._current, PollingConnection)
        if self.reporter.state.name != "live" or self.reporter.state.is_polling is not is_polling:
            self._report(StreamState("live", is_polling=is_polling))
        self._schedule_renewal()

    def receive_bytes(self) -> None:
        """Anything has arrived, such as a comment."""
        self._silence.receive_bytes()

    def receive_retry(self, seconds: float) -> None:
        """The server sets the reconnection time."""
        self._retry_seconds = seconds

    async def wait_for_room(self) -> None:
        """Wait until the caller has read enough events."""
        await self.buffer.wait_for_room()

    def receive_id(self, event_id: str) -> None:
        """All events up to `event_id` were delivered; "" resets the position."""
        if self._is_over or (event_id and not is_news(event_id, self.position)):
            return
        self.position = event_id
        self.buffer.put(None, event_id)

    def receive_event(self, event_type: str, text: str, event_id: str | None) -> None:
        """An event has arrived, perhaps once more."""
        if self._is_over:
            return
        self._failures = 0
        if event_type == _DRAINING:
            self._start_handover(is_polling=False)
            return
        is_reset = event_type == _RESET
        # The end of a replay has the id of its last event.
        may_repeat = is_reset or event_type == REPLAY_COMPLETE
        if event_id and not may_repeat and not is_news(event_id, self.position):
            return
        if event_type == _CHECKPOINT:
            self.receive_id(event_id if event_id is not None else self.position)
            return
        if is_reset:
            # The position is invalid. A connection that is lost before the snapshot that follows
            # must begin with a snapshot again.
            self.position = ""
        elif event_id is not None:
            self.position = event_id
        self._deliver(StreamEvent.from_text(event_type, text, event_id))

    def _deliver(self, event: StreamEvent) -> None:
        self._silence.receive_event(event.type, event.data)
        data = event.data
        if event.id is None:
            now = asyncio.get_running_loop().time()
            data = self._quote_filter.filter(event.type, data, now)
            if data is None and event.data is not None:
                return
        self.buffer.put(event.with_data(data), self.position)
        if event.type.lower() == "connected":
            self.keepalive_seconds = keepalive_seconds(data) or self.keepalive_seconds
        elif event.type == _UPDATED:
            self._sender.url = replace_content(self._sender.url, data)
        elif event.type == REPLAY_COMPLETE:
            self._finish(None)
        elif event.type in FINAL_EVENTS:
            self._end_after(event)

    def _end_after(self, event: StreamEvent) -> None:
        """End the stream after a final event, unless other credentials can be asked for."""
        if FINAL_EVENTS[event.type] is FinalAction.SIGN_IN and self._credentials.is_renewable:
            self._credentials.invalidate()
        else:
            self._finish(error_after(event.type, event.data))

    async def _wait_before_retry(self, outcome: EndedCleanly | HeldBack | RequestFailed) -> None:
        if isinstance(outcome, RequestFailed):
            self._failures += 1
            reason = outcome.reason
            seconds = delays.delay_after_failure(
                self._failures, self._retry_seconds, outcome.retry_after_seconds, self._random()
            )
        else:
            reason = "the server ended the stream"
            seconds = delays.delay_after_end(self._retry_seconds)
        self._retry_now.clear()
        self._report(
            StreamState("reconnecting", self._failures, retry_in_seconds=seconds, reason=reason)
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._retry_now.wait()

    def _schedule_renewal(self) -> None:
        """Open the next connection before the token of this one ends."""
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        if self._credentials.renew_at < math.inf:
            self._renewal = asyncio.get_running_loop().call_at(
                self._credentials.renew_at, lambda: self._start_handover(is_polling=False)
            )

    def _report(self, state: StreamState) -> None:
        self.reporter.report(dataclasses.replace(state, last_event_id=self.position))

    def _finish(self, error: BaseException | None) -> None:
        """Deliver what has arrived, and then `error`. Ignored after the first call."""
        if not self._is_over:
            self._is_over, self._error = True, error
            if isinstance(error, StreamEnded):
                error.last_event_id = self.position
        self.buffer.finish(self._error)
        self._retry_now.set()
        if self._handover is not None:
            self._handover.cancel()
        if self._current is not None:
            self._current.abort()

    async def _close_connections(self) -> None:
        """Wait until the connections are closed."""
        self._silence.stop()
        if self._renewal is not None:
            self._renewal.cancel()
        if self._handover is not None:
            self._handover.cancel()
        if self._current is not None:
            self._current.abort()
            with contextlib.suppress(Exception):
                await self._current.wait()
