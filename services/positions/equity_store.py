"""Stores equity curves beside the users' checkpoints, and reads them.

A curve is one value that every sample replaces, and full blocks with names of their own. A new
value is stored only if its predecessor is the one that it was made from, so two processes that both
believe to be the only one add each sample once. Backups contain the curves, and erasing a user
removes them, as all values of users. Start at `EquityStore.add_samples`.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tapewire.events import CODEC
from tapewire.log import Bounds, Conflict, LatestValueStore
from tapewire.log.checkpoint import (
    checkpoint_key,
    checkpoint_values,
    read_checkpoint,
    read_checkpoint_revision,
    restore_state,
)
from tapewire_services.positions.domain.equity_curve import (
    KEPT_BLOCKS,
    CurveBlock,
    CurveHead,
    EquitySample,
    Series,
    add_sample,
    block_name,
)

CHECKPOINT_NAME = "equity"
MAX_CONCURRENT_READS = 16


class _StoredHead(NamedTuple):
    """The head of a curve, encoded, and the revision of its value."""

    revision: int
    data: bytes


class EquityStore:
    """The curves of all users. `heads` of those that were written last stay in memory."""

    def __init__(self, checkpoint_store: LatestValueStore) -> None:
        self._store = checkpoint_store
        self._heads: dict[str, _StoredHead] = {}
        self._reads = asyncio.Semaphore(MAX_CONCURRENT_READS)

    def forget_head(self, user: str) -> None:
        """Read the curve of `user` again before the next sample."""
        self._heads.pop(user, None)

    async def last_samples(self, users: Iterable[str], bounds: Bounds) -> dict[str, EquitySample]:
        """The last samples of those of `users` that have one. A curve of another journal than that
        of `bounds` counts as none. Raises LogError."""
        heads = await asyncio.gather(*(self._load_head(user, bounds) for user in users))
        return {
            user: head.last_sample
            for user, head in zip(users, heads, strict=True)
            if head.last_sample is not None
        }

    async def add_samples(self, samples: Mapping[str, EquitySample], bounds: Bounds) -> None:
        """Add a sample to the curve of each user. Curves that another process has changed meanwhile
        are left as they are.

        Raises:
            LogError: not all samples are stored.
        """
        try:
            await self._write(samples, bounds)
        except Conflict:
            for user, sample in samples.items():
                try:
                    await self._write({user: sample}, bounds)
                except Conflict:
                    self.forget_head(user)

    async def read_samples(
        self, user: str, bounds: Bounds, *, before: int | None, since: int, limit: int
    ) -> list[EquitySample]:
        """The newest `limit` samples, the newest first, of those before the time `before` and not
        before `since`. Raises LogError."""
        head, _ = await self._read_head(user, bounds)
        found: list[EquitySample] = []
        oldest = before
        for series in KEPT_BLOCKS:
            block: CurveBlock | None = head.recent if series == "recent" else head.coarse
            numbers = head.full_blocks(series)
            while block is not None:
                for sample in reversed(block.samples):
                    if oldest is None or sample.time < oldest:
                        if sample.time < since or len(found) == limit:
                            return found
                        found.append(sample)
                        oldest = sample.time
                number = next(numbers, None)
                block = None if number is None else await self._read_block(user, series, number)
        return found

    async def _load_head(self, user: str, bounds: Bounds) -> CurveHead:
        known = self._heads.get(user)
        if known is not None:
            return CODEC.decode(known.data, CurveHead)
        async with self._reads:
            head, revision = await self._read_head(user, bounds)
        self._heads[user] = _StoredHead(revision, CODEC.encode(head))
        return head

    async def _read_head(self, user: str, bounds: Bounds) -> tuple[CurveHead, int]:
        key = checkpoint_key(user, CHECKPOINT_NAME)
        checkpoint, revision = await read_checkpoint_revision(self._store, key)
        head = restore_state(checkpoint, bounds, _decode_head, name=key)
        return head or CurveHead(), revision

    async def _read_block(self, user: str, series: Series, number: int) -> CurveBlock | None:
        """A full block; None if it was replaced meanwhile."""
        key = f"{checkpoint_key(user, CHECKPOINT_NAME)}.{block_name(series, number)}"
        checkpoint = await read_checkpoint(self._store, key)
        if checkpoint is None:
            return None
        block = CODEC.decode(bytes(checkpoint.state), CurveBlock)
        return block if block.number == number else None

    async def _write(self, samples: Mapping[str, EquitySample], bounds: Bounds) -> None:
        values: dict[str, bytes] = {}
        expected: dict[str, int] = {}
        written: dict[str, tuple[str, bytes]] = {}
        for user, sample in samples.items():
            head, full = add_sample(await self._load_head(user, bounds), sample)
            key, data = checkpoint_key(user, CHECKPOINT_NAME), CODEC.encode(head)
            expected[key] = self._heads[user].revision
            written[key] = user, data
            for name, block in full.items():
                values |= await _values(f"{key}.{name}", CODEC.encode(block), bounds)
            values |= await _values(key, data, bounds)
        last = await self._store.put_all(values, expected)
        # The values of a batch are stored one after another.
        for number, key in enumerate(values, last - len(values) + 1):
            if key in written:
                user, data = written[key]
                self._heads[user] = _StoredHead(number, data)


async def _values(key: str, state: bytes, bounds: Bounds) -> dict[str, bytes]:
    return await checkpoint_values(key, epoch=bounds.epoch, as_of=0, state=state)


def _decode_head(state: bytes) -> CurveHead:
    return CODEC.decode(state, CurveHead)
