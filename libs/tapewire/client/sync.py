"""The client for scripts and notebooks: its calls block until they are done.

    with tapewire.sync.connect("nats://127.0.0.1:4222", "my-notebook") as client:
        client.alert(user="alice", message="come and look")

The connection has a thread and an event loop of its own, and any thread may call. Without ``with``,
call `close` at the end.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from tapewire.client import propagation
from tapewire.client.client import DEFAULT_RETRY_SECONDS, Client
from tapewire.client.connection import connect as connect_async
from tapewire.log import RecordedEvent, Subscription
from tapewire.log.jetstream import NatsCredentials

P = ParamSpec("P")
T = TypeVar("T")


class _LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tapewire", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the thread and wait for it.

        Raises:
            RuntimeError: The loop is closed, or the call comes from its own thread.
        """
        if not self._thread.is_alive() or self._loop.is_closed():
            work.close()
            raise RuntimeError("the client is closed: connect again")
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a call from the client's own thread would wait for itself")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()


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
        self._loop_thread = _LoopThread()
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
