"""An event loop in a thread, for blocking calls on top of asyncio. Start at `LoopThread.run`."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a daemon thread, which starts at once."""

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

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start `work` in the thread, and do not wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def abandon(self) -> None:
        """Cancel what runs in the thread and end it, without waiting."""
        if self._thread.is_alive() and not self._loop.is_closed():
            self.start(self._cancel_and_stop())

    async def _cancel_and_stop(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop.stop()

    def close(self) -> None:
        """End the loop and wait for the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
