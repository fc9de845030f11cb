"""`stream` for scripts and notebooks: an ordinary iterator, with the same arguments and errors."""

import asyncio
import inspect
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from tapewire.loop_thread import LoopThread
from tapewire.sse.credentials import HeaderSource, TokenSource
from tapewire.sse.event import StreamEvent
from tapewire.sse.event_buffer import BufferedItem
from tapewire.sse.event_stream import POLL_AFTER_SECONDS, create_reader
from tapewire.sse.protocol.addresses import TimeOrId
from tapewire.sse.protocol.stale_symbols import StaleSymbols
from tapewire.sse.reader import StreamReader
from tapewire.sse.state import StreamState


class SyncEventStream:
    """Create it with `stream`. It connects when it is first iterated, in a thread of its own.

    One thread iterates; any may use the rest. `on_state` is called in the stream's own thread.
    """

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._last_event_id = reader.position
        self._stale = StaleSymbols()
        self._batch: deque[BufferedItem] = deque()
        self._lock = threading.Lock()
        self._loop_thread: LoopThread | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._is_closed = False

    @property
    def last_event_id(self) -> str:
        """As of `EventStream`."""
        return self._last_event_id

    @property
    def state(self) -> StreamState:
        """As of `EventStream`."""
        return self._reader.reporter.state

    @property
    def is_silent(self) -> bool:
        """As of `EventStream`."""
        return self.state.name != "live" or self.state.is_silent

    @property
    def stale_symbols(self) -> frozenset[str]:
        """As of `EventStream`."""
        return self._stale.symbols

    def close(self) -> None:
        """Close the stream for good. The iterator ends, and returns no further event."""
        with self._lock:
            self._is_closed = True
            self._batch.clear()
            loop_thread, self._loop_thread = self._loop_thread, None
        if loop_thread is None:
            return
        loop_thread.run(_stop(self._reader))
        loop_thread.close()
        if self._finalizer is not None:
            self._finalizer.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        """Wait for the next event.

        Raises:
            StreamEnded: One of its subclasses, when connecting again would not help.
        """
        while True:
            try:
                event, self._last_event_id = self._batch.popleft()
            except IndexError:
                self._read_batch()
            else:
                if event is not None:
                    self._stale.receive_event(event.type, event.data)
                    return event

    def _read_batch(self) -> None:
        """Wait for events. Raises StopIteration at the end."""
        loop_thread = self._start()
        try:
            batch = loop_thread.run(self._reader.buffer.get_batch())
        except Exception:
            self.close()
            raise
        if not batch:
            self.close()
            raise StopIteration
        self._batch.extend(batch)

    def _start(self) -> LoopThread:
        with self._lock:
            if self._is_closed:
                raise StopIteration
            if self._loop_thread is None:
                self._loop_thread = LoopThread()
                self._loop_thread.start(self._reader.run())
                # A loop that is left by `break` drops the stream without closing it.
                self._finalizer = weakref.finalize(self, self._loop_thread.abandon)
            return self._loop_thread


async def _stop(reader: StreamReader) -> None:
    """Stop, and let the connections and a waiting `__next__` end."""
    reader.stop()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)


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
) -> SyncEventStream:
    """Read the stream at `url`, as `tapewire.stream` does.

        with tapewire.sync.stream("http://127.0.0.1:8000/api/stream/prices") as events:
            for event in events:
                print(event.type, event.data)

    `token` and `headers` may be ordinary functions that block; they are called in a thread.

    Raises:
        InvalidArgument: An argument is malformed.
    """
    return SyncEventStream(
        create_reader(
            url,
            last_event_id=last_event_id,
            since=since,
            until=until,
            token=_in_thread(token),
            user=user,
            headers=_in_thread(headers),
            cookies=cookies,
            on_state=on_state,
            poll_after_seconds=poll_after_seconds,
            http_options=http_options,
        )
    )


def _in_thread(source: Any) -> Any:
    """Return a source that does not block the loop."""
    if not callable(source) or inspect.iscoroutinefunction(source):
        return source

    async def call() -> Any:
        return await asyncio.to_thread(source)

    return call
