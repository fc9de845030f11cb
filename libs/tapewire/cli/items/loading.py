"""Sends rows to the insights service, in batches, and counts what becomes of them.

A batch that gets no answer is sent again under its own command id, so it is added once, and counted
as added. `Loading` is pure but for its two calls to the outside: `ask` and `tell`.
"""

import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from tapewire.cli.items.rows import Malformed, Row
from tapewire.events import CODEC
from tapewire.log.patience import Patience, fresh_chance
from tapewire.runtime import Unanswered
from tapewire.runtime.contracts.insights import MOST_LOADED, LoadItems, LoadReply

BATCH_BYTES = 256 << 10
"""Bytes of a request at the most, unless one item alone has more; NATS takes 1 MiB."""
ITEM_BYTES = 512 << 10
"""An item with more is malformed; a well-formed one has some 10 kB at the most."""
TRIES = 10
"""Over some 15 seconds: a message server that is started again is back by then."""

Ask = Callable[[LoadItems], Awaitable[LoadReply]]
Tell = Callable[[int, str], None]
T = TypeVar("T")


class Totals(msgspec.Struct):
    """What became of the rows so far."""

    added: int = 0
    there: int = 0
    malformed: int = 0

    @property
    def rows(self) -> int:
        return self.added + self.there + self.malformed

    def __str__(self) -> str:
        return (
            f"{self.rows} rows: {self.added} added, {self.there} already there, "
            f"{self.malformed} malformed"
        )


class Loading:
    """One file on its way. `ask` sends a batch, `tell` says what is wrong with a line, `progress`
    is called after each batch."""

    def __init__(self, ask: Ask, tell: Tell, progress: Callable[[Totals], None]) -> None:
        self.totals = Totals()
        self._ask = ask
        self._tell = tell
        self._progress = progress
        self._batch: list[Row] = []
        self._bytes = 0

    async def load(self, rows: Iterable[Row | Malformed]) -> None:
        """Send all. When `rows` raises, what it gave before has been sent."""
        try:
            for row in rows:
                await self._take(row)
        finally:
            await self._send()

    async def _take(self, row: Row | Malformed) -> None:
        if isinstance(row, Malformed):
            self._refuse(row.line, row.why)
            return
        size = len(CODEC.encode(row.item))
        if size > ITEM_BYTES:
            self._refuse(row.line, f"{size} bytes, at most {ITEM_BYTES}")
            return
        if self._bytes + size > BATCH_BYTES or len(self._batch) == MOST_LOADED:
            await self._send()
        self._batch.append(row)
        self._bytes += size

    async def _send(self) -> None:
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return
        reply = await self._ask(LoadItems(items=tuple(row.item for row in batch)))
        self.totals.added += reply.added
        self.totals.there += reply.there
        for refused in reply.refused:
            self._refuse(batch[refused.index].line, refused.message)
        self._progress(self.totals)

    def _refuse(self, line: int, why: str) -> None:
        self.totals.malformed += 1
        self._tell(line, why)


async def insist(ask: Callable[[], Awaitable[T]], chance: random.Random | None = None) -> T:
    """Ask until there is an answer, `TRIES` times at the most, waiting longer each time. The same
    command each time, so it is done once. Raises Unanswered."""
    patience = Patience(chance or fresh_chance())
    for _ in range(TRIES - 1):
        try:
            return await ask()
        except Unanswered:
            await patience.wait()
    return await ask()
