"""Rebuilds the stored view of an owner from the log alone, beside the stored one.

The new view is folded in memory, while services go on to serve and store the old one. Then it takes
the old one's place in one write, which fails if the old one was stored again meanwhile; the events
since are folded then, and the write is tried again. A service that saves a view which it loaded
before fails in the same way, so no trace of the old view comes back. Start at `rebuild_view`.
"""

from typing import Any

from tapewire.log import view_checkpoints
from tapewire.log.checkpoint import checkpoint_key, read_checkpoint_revision
from tapewire.log.history_store import store_history
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.log.ports import MAX_BATCH_EVENTS, Conflict, EventLog, LatestValueStore

MAX_ATTEMPTS = 20
"""Tries to replace a view that services store at the same time, which they do once a second."""


async def rebuild_view(
    log: EventLog, checkpoint_store: LatestValueStore, view_type: Any, owner: str
) -> None:
    """Replace the stored view, or history, of `owner` by one that is folded from all events.

    A history of more than `MAX_BATCH_EVENTS` blocks is replaced block by block, its end at last; a
    reader may find some new blocks before.

    Args:
        log: has every event of the view. If some were archived, it is an `ArchivedLog`.

    Raises:
        Conflict: services stored it again at each of `MAX_ATTEMPTS` tries.
        LogError: the log cannot be read, or the store not be written.
    """
    name = view_checkpoints.checkpoint_name(view_type)
    key = checkpoint_key(owner, name)
    rebuilt = MemoryLatestValueStore(MemoryServer(), prefix="rebuilt")
    for _ in range(MAX_ATTEMPTS):
        _, revision = await read_checkpoint_revision(checkpoint_store, key)
        await _fold(log, rebuilt, view_type, owner)
        try:
            await _replace(checkpoint_store, key, await rebuilt.get_all(), revision)
        except Conflict:
            continue
        return
    raise Conflict(f"{name} of {owner!r} was stored again each time before it could be replaced")


async def _fold(log: EventLog, rebuilt: LatestValueStore, view_type: Any, owner: str) -> None:
    """Bring the view in `rebuilt` to the end of the log."""
    if hasattr(view_type, "block_rows"):
        await store_history(log, rebuilt, view_type, owner)
        return
    view, bounds = await view_checkpoints.load(log, rebuilt, view_type, owner)
    name = view_checkpoints.checkpoint_name(view_type)
    await view_checkpoints.save(rebuilt, owner, name, view, bounds)


async def _replace(
    checkpoint_store: LatestValueStore, key: str, values: dict[str, bytes], revision: int
) -> None:
    """Store `values`, among them that of `key`, which must still have `revision`. Raises
    Conflict."""
    others = [one for one in values if one != key]
    while len(others) >= MAX_BATCH_EVENTS:
        part, others = others[:MAX_BATCH_EVENTS], others[MAX_BATCH_EVENTS:]
        await checkpoint_store.put_all({one: values[one] for one in part})
    last = {one: values[one] for one in [*others, key]}
    await checkpoint_store.put_all(last, {key: revision})
