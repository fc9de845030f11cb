"""The client for scripts and notebooks: its calls block until they are done.

    with tapewire.sync.connect("nats://127.0.0.1:4222", "my-notebook") as client:
        client.alert(user="alice", message="come and look")

    with tapewire.sync.stream("http://127.0.0.1:8000/api/stream/prices") as events:
        for event in events:
            print(event.type, event.data)

The connection has a thread and an event loop of its own, and any thread may call. Without ``with``,
call `close` at the end. `stream` reads an event stream of the edge and needs no client.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from tapewire.client import propagation
from tapewire.client.client import DEFAULT_RETRY_SECONDS, Client
from tapewire.client.connection import connect as connect_async
from tapewire.log import RecordedEvent, Subscription
from tapewire.log.jetstream import NatsCredentials
from tapewire.loop_thread import LoopThread
from tapewire.sse.sync_stream import stream

__all__ = ["SyncClient", "SyncDurableSubscription", "connect", "stream"]

P = ParamSpec("P")
T = TypeVar("T")


def _make_blocking(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[SyncClient, P], T]":
    """Return the blocking form of `method`."""

    def call(self: "SyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._call(method, *args, **kwargs)

    functools.update_wrapper(call, method)
    return call


class SyncDurableSubscription:
    """A durable subscription. `close` ends it."""

    def __init__(self, client: "SyncClient", subscription: Subscription) -> None:
        self._client = client
        self._subscription = subscription

    def close(self) -> None:
        """End the subscription. No event is delivered after this returns."""
        self._client._loop_thread.run(self._subscription.close())  # noqa: SLF001


class SyncClient:
    """Create it with `connect`. Calls, arguments and errors are those of `Client`."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
        credentials: NatsCredentials | None = None,
    ) -> None:
        self._loop_thread = LoopThread()
        self._exit_stack = contextlib.AsyncExitStack()
        try:
            connecting = self._exit_stack.enter_async_context(
                connect_async(url, name, retry_seconds=retry_seconds, credentials=credentials)
            )
            self._client = self._loop_thread.run(connecting)
        except BaseException:
            self._loop_thread.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. May be called twice."""
        with contextlib.suppress(RuntimeError):
            self._loop_thread.run(self._exit_stack.aclose())
        self._loop_thread.close()

    def _call(
        self,
        method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        async def within() -> T:
            with propagation.restore_context(captured):
                return await method(self._client, *args, **kwargs)

        captured = propagation.capture_context()
        return self._loop_thread.run(within())

    def subscribe_durable(
        self,
        name: str,
        filter: str,  # noqa: A002 - the word of the field
        handler: Callable[[RecordedEvent], None],
        *,
        in_order: bool = False,
    ) -> SyncDurableSubscription:
        """Like `Client.subscribe_durable`.

        `handler` is an ordinary function. It is called in a thread, with one event at a time, and
        may use this client.
        """

        async def handle(recorded: RecordedEvent) -> None:
            await asyncio.to_thread(handler, recorded)

        return SyncDurableSubscription(
            self,
            self._loop_thread.run(
                self._client.subscribe_durable(name, filter, handle, in_order=in_order)
            ),
        )

    strategy_started = _make_blocking(Client.strategy_started)
    strategy_updated = _make_blocking(Client.strategy_updated)
    strategy_stopped = _make_blocking(Client.strategy_stopped)
    strategy_completed = _make_blocking(Client.strategy_completed)
    strategy_errored = _make_blocking(Client.strategy_errored)
    order_placed = _make_blocking(Client.order_placed)
    order_executed = _make_blocking(Client.order_executed)
    order_rejected = _make_blocking(Client.order_rejected)
    order_cancelled = _make_blocking(Client.order_cancelled)
    order_failed = _make_blocking(Client.order_failed)
    stop_loss_triggered = _make_blocking(Client.stop_loss_triggered)
    stop_loss_executed = _make_blocking(Client.stop_loss_executed)
    error = _make_blocking(Client.error)
    decision = _make_blocking(Client.decision)
    alert = _make_blocking(Client.alert)
    price = _make_blocking(Client.price)
    publish = _make_blocking(Client.publish)
    put = _make_blocking(Client.put)
    notify = _make_blocking(Client.notify)
    request = _make_blocking(Client.request)
    publish_item = _make_blocking(Client.publish_item)
    correct_item = _make_blocking(Client.correct_item)
    retract_item = _make_blocking(Client.retract_item)


connect = SyncClient
"""``with connect(url, name) as client``. Arguments and errors are those of `tapewire.connect`."""
