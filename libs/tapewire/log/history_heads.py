"""The newest part of histories, held in memory between the pages that a process reads.

The head of a history is the view itself (`tapewire.views.history`): what its stored blocks do not
have. A reader that holds it reads only the events since the page before, which are at the end of
the log. Without it, it would read all events since the checkpoint for every page.

A head is held as long as the checkpoint that it was loaded from is the stored one: a newer one has
more, and a removed one means that the owner was erased. Start at `HistoryHeads.load`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from tapewire.log import view_checkpoints
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import checkpoint_key
from tapewire.log.history_store import History, HistoryType
from tapewire.log.ports import EventLog, LatestValueStore

MAX_REPLAYED_EVENTS = 10_000
"""Events after the checkpoint that a reader reads."""
MAX_HEADS = 32
"""Heads in memory."""
MAX_HELD_ROWS = 40_000
"""Rows of all heads in memory, a kilobyte or two each, unless one head alone has more."""
STALE_CHECKPOINT_EVENTS = 5_000
"""Events of all users after which a checkpoint is stale: looking for the first event of one user
becomes expensive the farther back it starts."""

R = TypeVar("R")


class _Head(Generic[R]):
    """One owner's head. `lock` is held while it is loaded or brought up to date."""

    __slots__ = ("bounds", "checkpoint_sequence", "history", "lock", "revision")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.history: History[R] | None = None
        self.bounds: Bounds | None = None
        self.checkpoint_sequence = self.revision = 0
        """Of the checkpoint that it was loaded from. The revision is 0 if there was none."""

    @property
    def row_count(self) -> int:
        """The rows that it has in memory."""
        return 0 if self.history is None else self.history.held_row_count


class HistoryHeads(Generic[R]):
    """The heads of the histories of one type. `on_stale` is called with the owner of a history
    whose checkpoint is stale, at most once every `STALE_CHECKPOINT_EVENTS`."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        history_type: HistoryType[R],
        on_stale: Callable[[str], None],
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._history_type = history_type
        self._on_stale = on_stale
        self._heads: OrderedDict[str, _Head[R]] = OrderedDict()

    async def load(self, owner: str, bounds: Bounds) -> tuple[History[R], Bounds]:
        """The history as of ``bounds.last`` or later, and the bounds that it is as of.

        The caller must take what it needs before it awaits anything; later calls change the object.

        Raises:
            TooManyEvents: there are more than `MAX_REPLAYED_EVENTS` after the checkpoint.
            Unavailable: the log or the checkpoint cannot be read.
        """
        head = self._heads.setdefault(owner, _Head())
        self._heads.move_to_end(owner)
        async with head.lock:
            history, bounds = await self._bring_up_to_date(head, owner, bounds)
            if (
                history.row_count
                and bounds.last - head.checkpoint_sequence > STALE_CHECKPOINT_EVENTS
            ):
                head.checkpoint_sequence = bounds.last
                self._on_stale(owner)
        self._limit_memory()
        return history, bounds

    def _limit_memory(self) -> None:
        """Drop the heads that were not read for the longest time."""
        rows = sum(head.row_count for head in self._heads.values())
        while len(self._heads) > 1 and (len(self._heads) > MAX_HEADS or rows > MAX_HELD_ROWS):
            _, dropped = self._heads.popitem(last=False)
            rows -= dropped.row_count

    async def _bring_up_to_date(
        self, head: _Head[R], owner: str, bounds: Bounds
    ) -> tuple[History[R], Bounds]:
        history, known = head.history, head.bounds
        # An error leaves a history behind that lacks some of the events.
        head.history = head.bounds = None
        if (
            history is None
            or known is None
            or not await self._is_usable(head, owner, known, bounds)
        ):
            history, bounds, start = await view_checkpoints.load_with_start(
                self._log,
                self._checkpoint_store,
                self._history_type,
                owner,
                bounds=bounds,
                max_events=MAX_REPLAYED_EVENTS,
                may_be_later=True,
            )
            head.checkpoint_sequence, head.revision = start.sequence, start.revision
        elif known.last < bounds.last:
            await view_checkpoints.replay(
                self._log,
                history,
                self._history_type,
                owner,
                after=known.last,
                bounds=bounds,
                max_events=MAX_REPLAYED_EVENTS,
            )
        elif known.epoch == bounds.epoch:
            bounds = known
        head.history, head.bounds = history, bounds
        return history, bounds

    async def _is_usable(self, head: _Head[R], owner: str, known: Bounds, bounds: Bounds) -> bool:
        """Whether a head as of `known` can be brought up to date."""
        is_same_log = known.epoch == bounds.epoch or bounds.includes(known.epoch, known.last)
        if not head.revision or not is_same_log or known.last + 1 < bounds.first:
            return False
        key = checkpoint_key(owner, view_checkpoints.checkpoint_name(self._history_type))
        _, revision = await self._checkpoint_store.get_revision(key)
        return revision == head.revision
