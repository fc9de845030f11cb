"""The same tape for scripts and notebooks: ordinary calls that return when they are done.

    with tapewire.sync.connect("nats://127.0.0.1:4222", "my-notebook") as tape:
        tape.alert(user="alice", message="come and look")

The connection lives in a thread of its own, with its own event loop; any thread may call. Without
``with``, call `close` at the end.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from tapewire.log import Recorded, Subscription
from tapewire.producer import trail
from tapewire.producer.connecting import connect as connect_async
from tapewire.producer.tape import PATIENCE_SECONDS, Tape

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tapewire", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` there and wait for it here. Raises RuntimeError when closed, or from there."""
        if not self._thread.is_alive() or self._loop.is_closed():
            work.close()
            raise RuntimeError("the tape is closed: connect again")
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a call of the sync tape from its own thread would wait for itself")
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


def _blocking(
    method: Callable[Concatenate[Tape, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[SyncTape, P], T]":
    """`method` of the tape, done when it returns."""

    def call(self: "SyncTape", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._do(method, *args, **kwargs)

    functools.update_wrapper(call, method)
    return call


class Reacting:
    """A reaction under way; `close` ends it."""

    def __init__(self, tape: "SyncTape", reaction: Subscription) -> None:
        self._tape = tape
        self._reaction = reaction

    def close(self) -> None:
        """No event is handed out after this returns."""
        self._tape._loop.do(self._reaction.close())  # noqa: SLF001


class SyncTape:
    """Made by `connect`. Calls, arguments and errors are those of `Tape`."""

    def __init__(self, url: str, name: str, *, patience: float = PATIENCE_SECONDS) -> None:
        self._loop = _Loop()
        self._held = contextlib.AsyncExitStack()
        try:
            connecting = self._held.enter_async_context(connect_async(url, name, patience=patience))
            self._tape = self._loop.do(connecting)
        except BaseException:
            self._loop.close()
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
        """Leave; closing twice is nothing."""
        with contextlib.suppress(RuntimeError):
            self._loop.do(self._held.aclose())
        self._loop.close()

    def _do(
        self,
        method: Callable[Concatenate[Tape, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        async def within() -> T:
            with trail.taken_over(carried):
                return await method(self._tape, *args, **kwargs)

        carried = trail.carried()
        return self._loop.do(within())

    def react(self, name: str, filter: str, handler: Callable[[Recorded], None]) -> Reacting:  # noqa: A002
        """As `Tape.react`; `handler` is an ordinary function, called in a thread, one event at a
        time, and may call this tape."""

        async def handle(recorded: Recorded) -> None:
            await asyncio.to_thread(handler, recorded)

        return Reacting(self, self._loop.do(self._tape.react(name, filter, handle)))

    strategy_started = _blocking(Tape.strategy_started)
    strategy_updated = _blocking(Tape.strategy_updated)
    strategy_stopped = _blocking(Tape.strategy_stopped)
    strategy_completed = _blocking(Tape.strategy_completed)
    strategy_errored = _blocking(Tape.strategy_errored)
    order_placed = _blocking(Tape.order_placed)
    order_executed = _blocking(Tape.order_executed)
    order_rejected = _blocking(Tape.order_rejected)
    order_cancelled = _blocking(Tape.order_cancelled)
    order_failed = _blocking(Tape.order_failed)
    stop_loss_triggered = _blocking(Tape.stop_loss_triggered)
    stop_loss_executed = _blocking(Tape.stop_loss_executed)
    error = _blocking(Tape.error)
    decision = _blocking(Tape.decision)
    alert = _blocking(Tape.alert)
    price = _blocking(Tape.price)
    publish = _blocking(Tape.publish)
    put = _blocking(Tape.put)
    notify = _blocking(Tape.notify)
    ask = _blocking(Tape.ask)


connect = SyncTape
"""A sync tape: ``with connect(url, name) as tape``. Arguments and errors as `tapewire.connect`."""
