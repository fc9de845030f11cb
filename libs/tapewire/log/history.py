"""Reads the pages of lists without a limit of size (`tapewire.views.history`).

A page is one or two stored blocks, however long the list is, with the changes that the events since
the checkpoint made. `tapewire.log.history_store` stores the blocks, `tapewire.log.history_heads`
holds these changes. Start at `HistoryReader.read_page`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.log.bounds import Bounds
from tapewire.log.history_heads import HistoryHeads
from tapewire.log.history_store import History, HistoryType, read_block, store_history
from tapewire.log.list_cursor import check_limit, decode_number, encode_number
from tapewire.log.ports import (
    Conflict,
    EventLog,
    LatestValueStore,
    LogError,
    Unavailable,
)
from tapewire.log.view_checkpoints import TooManyEvents

MAX_PAGE_BYTES = 512 << 10
"""Bytes of the rows in one page, as JSON. A page has at least one row, however large."""
MAX_EXAMINED_PAGES = 8
EXAMINED_PAGE_ROWS = 256
"""The pages of which a page of matching rows is made at most, and their rows."""
MAX_CONCURRENT_STORES = 2
"""Histories that a reader stores at the same time; readers of others wait for their turn."""

logger = structlog.get_logger("tapewire.history")

R = TypeVar("R")


class HistoryPage(msgspec.Struct, Generic[R], frozen=True):
    """Rows of a list, the newest first, as of ``bounds.last``. `next` is the cursor of the page
    that follows, None after the oldest row."""

    rows: list[R]
    next: str | None
    bounds: Bounds
    before: int
    """The number after that of the newest row."""


class HistoryReader(Generic[R]):
    """Reads the pages of one list. It stores a history in the background that is far behind."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        history_type: HistoryType[R],
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._history_type = history_type
        self._heads = HistoryHeads(log, checkpoint_store, history_type, self._start_storing)
        self._storing: dict[str, asyncio.Task[None]] = {}

    async def read_page(self, owner: str, limit: int, cursor: str | None) -> HistoryPage[R]:
        """The newest rows of `owner`, or those before `cursor`; `limit` of them (1 to
        `MAX_PAGE_ROWS`), or fewer if they are large.

        Raises:
            CommandRejected: ``invalid``: `limit` or `cursor`.
            Unavailable: the log cannot be read, or the history is still being stored.
        """
        check_limit(limit)
        list_name = self._history_type.domain
        bounds = await self._log.bounds()
        if cursor is not None:
            before = decode_number(cursor, list_name, bounds.epochs)
            if not self._history_type.has_changing_rows:
                page = await self._read_stored_page(owner, before, limit, bounds)
                if page is not None:
                    return page
        history, bounds = await self._load(owner, bounds)
        before = history.row_count
        if cursor is not None:
            before = decode_number(cursor, list_name, bounds.epochs, maximum=before)
        numbers = self._block_numbers(before, limit)
        # Later pages change the history, so everything is taken from it before a block is read.
        reads = [self._read_rows(owner, history, block, bounds) for block in numbers]
        blocks = dict(zip(numbers, await asyncio.gather(*reads), strict=True))
        return self._cut_page(blocks, before, limit, bounds)

    async def read_matching_page(
        self, owner: str, limit: int, cursor: str | None, accepts: Callable[[R], bool]
    ) -> HistoryPage[R]:
        """As `read_page`, with the rows that `accepts` accepts among the next
        `MAX_EXAMINED_PAGES` pages."""
        check_limit(limit)
        found: list[R] = []
        page = first = await self.read_page(owner, EXAMINED_PAGE_ROWS, cursor)
        for _ in range(MAX_EXAMINED_PAGES - 1):
            for position, row in enumerate(page.rows):
                if accepts(row):
                    found.append(row)
                if len(found) == limit:
                    following = self._cursor_before(page.before - position - 1, page.bounds)
                    return HistoryPage(found, following, first.bounds, first.before)
            if page.next is None:
                break
            page = await self.read_page(owner, EXAMINED_PAGE_ROWS, page.next)
        return HistoryPage(found, page.next, first.bounds, first.before)

    def _read_rows(
        self, owner: str, history: History[R], block: int, bounds: Bounds
    ) -> Awaitable[list[R]]:
        """The rows of `block`: those that `history` holds now, or the stored ones with its present
        patches; both with its late rows."""
        held, patches = history.held_rows(block), history.patches(block)
        stored_sequence, late = history.stored_sequence(block), history.late_rows()

        def with_late_rows(rows: list[R]) -> list[R]:
            return [late.get(history.key_of(row), row) for row in rows] if late else rows

        async def read() -> list[R]:
            if held is not None:
                return with_late_rows(held)
            rows = await read_block(
                self._checkpoint_store, self._history_type, owner, block, bounds, stored_sequence
            )
            for position, row in patches.items():
                rows[position] = row
            return with_late_rows(rows)

        return read()

    async def _read_stored_page(
        self, owner: str, before: int, limit: int, bounds: Bounds
    ) -> HistoryPage[R] | None:
        """The page if all of it is in stored blocks."""
        numbers = self._block_numbers(before, limit)
        reads = [
            read_block(self._checkpoint_store, self._history_type, owner, block, bounds)
            for block in numbers
        ]
        try:
            rows = await asyncio.gather(*reads)
        except Unavailable:
            return None
        return self._cut_page(dict(zip(numbers, rows, strict=True)), before, limit, bounds)

    async def _load(self, owner: str, bounds: Bounds) -> tuple[History[R], Bounds]:
        """The history as of the end of the log."""
        try:
            return await self._heads.load(owner, bounds)
        except TooManyEvents as error:
            self._start_storing(owner)
            raise Unavailable(f"the history is being prepared: {error}") from error

    def _start_storing(self, owner: str) -> None:
        """Store the history of `owner` in the background, unless that is being done."""
        if owner in self._storing or len(self._storing) >= MAX_CONCURRENT_STORES:
            return
        task = self._storing[owner] = asyncio.create_task(self._store(owner))
        task.add_done_callback(lambda _: self._storing.pop(owner))

    async def _store(self, owner: str) -> None:
        try:
            await store_history(self._log, self._checkpoint_store, self._history_type, owner)
        except Conflict:
            return  # another process stores it
        except LogError as error:
            logger.warning("checkpoint.write_failed", user_id=owner, error=str(error))

    def _block_numbers(self, before: int, limit: int) -> range:
        block_rows = self._history_type.block_rows
        return range(max(0, before - limit) // block_rows, -(-before // block_rows))

    def _cut_page(
        self, blocks: dict[int, list[R]], before: int, limit: int, bounds: Bounds
    ) -> HistoryPage[R]:
        offset = min(blocks, default=0) * self._history_type.block_rows
        rows = [row for block in sorted(blocks) for row in blocks[block]]
        first = max(0, before - limit)
        page = _limit_size(rows[first - offset : before - offset][::-1])
        start = before - len(page)
        return HistoryPage(page, self._cursor_before(start, bounds), bounds, before)

    def _cursor_before(self, number: int, bounds: Bounds) -> str | None:
        """The cursor of the entries before `number`; None if there are none."""
        if not number:
            return None
        return encode_number(self._history_type.domain, bounds.epoch, number)


def _limit_size(rows: Sequence[R]) -> list[R]:
    """The first of `rows`, up to `MAX_PAGE_BYTES`; at least one."""
    size, page = 0, list[R]()
    for row in rows:
        size += len(CODEC.encode(row))
        if page and size > MAX_PAGE_BYTES:
            break
        page.append(row)
    return page
