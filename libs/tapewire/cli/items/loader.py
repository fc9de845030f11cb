"""Sends rows to the insights service in batches and counts the results.

A batch without a reply is sent again under the same command id, so it is added once and counted as
added. `ItemLoader` does its I/O through the functions it is given.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from tapewire.cli.items.rows import ItemRow, MalformedRow, Notice, Row
from tapewire.events import CODEC
from tapewire.log.backoff import Backoff, new_rng
from tapewire.runtime import RequestTimeout
from tapewire.runtime.contracts.insights import MAX_LOADED_ITEMS, LoadItems, LoadReply

MAX_BATCH_BYTES = 256 << 10
"""The most bytes of a request, unless a single item has more. NATS accepts 1 MiB."""
MAX_ITEM_BYTES = 512 << 10
"""An item with more bytes is malformed. A well-formed one has at most about 10 kB."""
MAX_TRIES = 10
"""Over about 15 seconds, enough for a restart of the NATS server."""

SendBatch = Callable[[LoadItems], Awaitable[LoadReply]]
ReportLine = Callable[[int, str], None]
T = TypeVar("T")


class LoadTotals(msgspec.Struct):
    """What became of the rows so far."""

    added: int = 0
    already_stored: int = 0
    malformed: int = 0
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    """The malformed rows by the field, or the part of the format, that is at fault."""

    @property
    def rows(self) -> int:
        return self.added + self.already_stored + self.malformed

    def __str__(self) -> str:
        return (
            f"{self.rows} rows: {self.added} added, {self.already_stored} already there, "
            f"{self.malformed} malformed"
        )

    def describe_faults(self) -> str:
        """The malformed rows by their fault, the most frequent first."""
        return ", ".join(f"{count} by {fault}" for fault, count in self.faults.most_common())


class ItemLoader:
    """Loads one file.

    Args:
        send_batch: Sends a batch and returns the reply.
        report_malformed: Called with the line and the reason of every malformed row.
        report_notice: Called with the line and the text of every notice.
        report_progress: Called with the totals after each batch.
    """

    def __init__(
        self,
        send_batch: SendBatch,
        report_malformed: ReportLine,
        report_notice: ReportLine,
        report_progress: Callable[[LoadTotals], None],
    ) -> None:
        self.totals = LoadTotals()
        self._send_batch = send_batch
        self._report_malformed = report_malformed
        self._report_notice = report_notice
        self._report_progress = report_progress
        self._batch: list[ItemRow] = []
        self._batch_bytes = 0

    async def load(self, rows: Iterable[Row]) -> None:
        """Send all rows. If `rows` raises, the rows before are sent first."""
        try:
            for row in rows:
                await self._add_row(row)
        finally:
            await self._flush()

    async def _add_row(self, row: Row) -> None:
        if isinstance(row, Notice):
            self._report_notice(row.line, row.reason)
            return
        if isinstance(row, MalformedRow):
            self._reject_row(row.line, row.reason, row.fault)
            return
        size = len(CODEC.encode(row.item))
        if size > MAX_ITEM_BYTES:
            self._reject_row(row.line, f"{size} bytes, at most {MAX_ITEM_BYTES}", "size")
            return
        if self._batch_bytes + size > MAX_BATCH_BYTES or len(self._batch) == MAX_LOADED_ITEMS:
            await self._flush()
        self._batch.append(row)
        self._batch_bytes += size

    async def _flush(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if not batch:
            return
        reply = await self._send_batch(LoadItems(items=tuple(row.item for row in batch)))
        self.totals.added += reply.added
        self.totals.already_stored += reply.there
        for rejected in reply.refused:
            row, field = batch[rejected.index], (rejected.path or "item").partition("[")[0]
            prefix = f"{row.label}: " if row.label else ""
            self._reject_row(row.line, f"{prefix}{rejected.message}", field)
        self._report_progress(self.totals)

    def _reject_row(self, line: int, reason: str, fault: str) -> None:
        self.totals.malformed += 1
        self.totals.faults[fault] += 1
        self._report_malformed(line, reason)


async def retry_request(send: Callable[[], Awaitable[T]], rng: random.Random | None = None) -> T:
    """Send a request until there is a reply, at most `MAX_TRIES` times, with a growing delay.

    `send` must use the same command id each time.

    Raises:
        RequestTimeout: There was no reply to the last try.
    """
    backoff = Backoff(rng or new_rng())
    for _ in range(MAX_TRIES - 1):
        try:
            return await send()
        except RequestTimeout:
            await backoff.wait()
    return await send()
