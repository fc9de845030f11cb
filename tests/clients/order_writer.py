"""Writes orders in the background, while clients are cut off and edges are replaced."""

import asyncio
import itertools
from typing import Self

from tests.clients.stream_users import append_orders
from tests.harness.publishers import EventLogDriver
from tests.harness.waiting import wait_until

WRITE_INTERVAL_SECONDS = 0.005
"""The delay between two orders; the tests only need orders at every moment."""

_order_numbers = itertools.count(1)
WAIT_TIMEOUT_SECONDS = 60.0


class BackgroundOrderWriter:
    """Writes orders of a user, one after the other, until the block ends."""

    def __init__(self, journal: EventLogDriver, name: str) -> None:
        self.journal, self.name = journal, name
        self.order_ids: list[str] = []
        self._is_running = True
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._is_running = False
        await self._task

    async def _write(self) -> None:
        while self._is_running:
            order_id = f"o-{next(_order_numbers)}"
            await append_orders(self.journal, self.name, order_id)
            self.order_ids.append(order_id)
            await asyncio.sleep(WRITE_INTERVAL_SECONDS)

    @property
    def last_order_id(self) -> str:
        """The id of the order that was written last."""
        return self.order_ids[-1]

    async def wait_for_more(self, count: int = 10) -> None:
        """Wait until `count` more orders are written."""
        wanted = len(self.order_ids) + count

        def are_written() -> bool:
            assert self._task is not None
            assert not self._task.done(), self._task.exception()
            return len(self.order_ids) >= wanted

        await wait_until(
            f"{wanted} orders are written", are_written, timeout_seconds=WAIT_TIMEOUT_SECONDS
        )
