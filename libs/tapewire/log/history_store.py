"""Stores histories: lists without a limit of size, in blocks (`tapewire.views.history`).

The stored history of an owner is a checkpoint, which has the rows after the last full block, and
one checkpoint for each full block. `store_history` brings it up to the end of the log, in steps of
bounded memory. The checkpoint and the changed blocks of a step are stored as one batch, which
expects the checkpoint that the step started from. So a block is never older than the checkpoint
that a reader found. It may be newer; applying the events in between once more does no harm.
`tapewire.log.history` reads histories.
"""

import asyncio
from typing import Any, Protocol, TypeVar

import msgspec

from tapewire.events import CODEC
from tapewire.log import view_checkpoints
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import (
    checkpoint_key,
    checkpoint_values,
    read_checkpoint,
    restore_state,
)
from tapewire.log.ports import (
    MAX_BATCH_EVENTS,
    AppendRejected,
    EventLog,
    LatestValueStore,
    Unavailable,
)
from tapewire.log.view_checkpoints import LoadStart, StepHook, View

MAX_CHANGED_BLOCKS = 64
"""Changed blocks that are held in memory while a history is stored."""
MIN_DENSE_ROWS = 10_000
STORE_PAGE_EVENTS = 1024
STORE_PAGE_BYTES = 1 << 20
"""A page of the log while a history is stored. The server reads a page before it looks at the next
message of the connection, so a larger page would hold up the renewal of a lease."""

R = TypeVar("R")


class History(View, Protocol[R]):
    """An object of a `HistoryType`; see `tapewire.views.HistoryView`."""

    @property
    def row_count(self) -> int: ...

    @property
    def held_row_count(self) -> int: ...

    @property
    def changed_block_count(self) -> int: ...

    def late_rows(self) -> dict[str, R]: ...

    def key_of(self, row: R) -> str: ...

    def held_rows(self, block: int) -> list[R] | None: ...

    def patches(self, block: int) -> dict[int, R]: ...

    def unstored_blocks(self) -> dict[int, list[R]]: ...

    def patched_blocks(self) -> list[int]: ...

    def stored_sequence(self, block: int) -> int: ...

    def mark_stored(self, as_of: int) -> None: ...


class HistoryType(Protocol[R]):
    """A class of histories: a `ViewType` whose full blocks are stored apart."""

    domain: str
    name: str
    block_rows: int
    has_changing_rows: bool

    def __call__(self) -> History[R]: ...

    def decode(self, data: bytes) -> History[R]: ...

    def decode_block(self, data: bytes) -> list[R]: ...


async def store_history(
    log: EventLog,
    checkpoint_store: LatestValueStore,
    history_type: HistoryType[Any],
    owner: str,
    bounds: Bounds | None = None,
    *,
    max_steps: int | None = None,
) -> bool:
    """Bring the stored history of `owner` up to ``bounds.last`` or later, by default up to the end
    of the log. Returns whether that was reached within `max_steps` steps.

    It is stored in steps, so the next call continues an interrupted one.

    Raises:
        Conflict: another process stored it meanwhile.
        LogError: the log cannot be read, or the store be written.
    """
    target = bounds or await log.bounds()
    writers: list[HistoryWriter] = []

    def on_step(history: History[Any], start: LoadStart) -> StepHook:
        writers.append(HistoryWriter(checkpoint_store, history_type, owner, target, start.revision))

        async def after_step(sequence: int) -> None:
            if history.changed_block_count >= MAX_CHANGED_BLOCKS:
                await writers[0].store(history, sequence)
                if writers[0].step_count == max_steps:
                    raise _StepsUsed

        return after_step

    try:
        history, target, start = await view_checkpoints.load_with_start(
            log,
            checkpoint_store,
            history_type,
            owner,
            bounds=target,
            on_step=on_step,
            page_events=STORE_PAGE_EVENTS,
            page_bytes=STORE_PAGE_BYTES,
            may_be_later=True,
            is_dense=_is_dense,
        )
    except _StepsUsed:
        return False
    if start.sequence < target.last or not start.revision:
        await writers[0].store(history, target.last)
    return True


class _StepsUsed(Exception):
    """The steps of this call are used."""


def _is_dense(history: History[Any], as_of: int) -> bool:
    """Whether the owner's rows are a large part of the events up to `as_of`. An interrupted store
    goes on in the middle of a long log, where a page of the owner's events can take the server
    longer than a request may take."""
    return history.row_count > max(
        MIN_DENSE_ROWS, as_of * view_checkpoints.MIN_SHARED_READ_PART / 2
    )


class HistoryWriter:
    """Stores one history in steps, as long as nobody else does. `revision` is that of the stored
    checkpoint, `bounds` are those of the log."""

    def __init__(
        self,
        checkpoint_store: LatestValueStore,
        history_type: HistoryType[Any],
        owner: str,
        bounds: Bounds,
        revision: int,
    ) -> None:
        self._checkpoint_store = checkpoint_store
        self._history_type = history_type
        self._owner = owner
        self._bounds = bounds
        self._revision = revision
        self.step_count = 0

    async def store(self, history: History[Any], as_of: int) -> None:
        """Store the changed blocks and the checkpoint, as of sequence `as_of`, as one batch.

        Raises:
            Conflict: the stored checkpoint has another revision.
            LogError: the store cannot be read or written.
        """
        values: dict[str, bytes] = {}
        for block, rows in (await self._changed_blocks(history)).items():
            key = _block_key(self._history_type, self._owner, block)
            values |= await self._values(key, as_of, CODEC.encode(rows))
            await asyncio.sleep(0)  # a block takes milliseconds; the event loop must go on
        history.mark_stored(as_of)
        key = checkpoint_key(self._owner, self._history_type.name)
        head = await self._values(key, as_of, history.encode())
        # The revision that the batch returns is that of its last value.
        values |= {name: head[name] for name in reversed(head)}
        if len(values) > MAX_BATCH_EVENTS:
            raise AppendRejected(f"{len(values)} values in one batch: at most {MAX_BATCH_EVENTS}")
        self._revision = await self._checkpoint_store.put_all(values, {key: self._revision})
        self.step_count += 1

    async def _changed_blocks(self, history: History[Any]) -> dict[int, list[Any]]:
        blocks = history.unstored_blocks()
        for block in history.patched_blocks():
            rows = await read_block(
                self._checkpoint_store,
                self._history_type,
                self._owner,
                block,
                self._bounds,
                history.stored_sequence(block),
                is_named=True,
            )
            for position, row in history.patches(block).items():
                rows[position] = row
            blocks[block] = rows
        return blocks

    async def _values(self, key: str, as_of: int, state: bytes) -> dict[str, bytes]:
        return await checkpoint_values(key, epoch=self._bounds.epoch, as_of=as_of, state=state)


async def read_block(
    checkpoint_store: LatestValueStore,
    history_type: HistoryType[R],
    owner: str,
    block: int,
    bounds: Bounds,
    stored_sequence: int = 0,
    *,
    is_named: bool = False,
) -> list[R]:
    """The rows of a stored block of the log of `bounds`, as of `stored_sequence` or later.

    Args:
        is_named: a usable checkpoint counts the block as stored. Then the block is of this log too,
            even if its epoch was forgotten since.

    Raises:
        Unavailable: it is not stored, or a replica has an older one.
    """
    key = _block_key(history_type, owner, block)
    checkpoint = await read_checkpoint(checkpoint_store, key)
    is_known = checkpoint is not None and (
        is_named or checkpoint.epoch == bounds.epoch or checkpoint.is_usable(bounds)
    )
    if checkpoint is None or not is_known:
        raise Unavailable(f"block {block} of {history_type.name} is not stored")
    if checkpoint.as_of < stored_sequence:
        raise Unavailable(f"block {block} of {history_type.name} lags behind {stored_sequence}")
    # A block may be newer than the bounds.
    readable = msgspec.structs.replace(checkpoint, epoch=bounds.epoch, as_of=0)
    rows = restore_state(readable, bounds, history_type.decode_block, name=key)
    if rows is None or len(rows) != history_type.block_rows:
        raise Unavailable(f"block {block} of {history_type.name} cannot be read")
    return rows


def _block_key(history_type: HistoryType[Any], owner: str, block: int) -> str:
    return f"{checkpoint_key(owner, history_type.name)}.block-{block}"
