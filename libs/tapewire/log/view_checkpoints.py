"""Views at a known sequence: the checkpoint, plus the events that came after it.

`load` returns a view exactly as of one sequence of the log, with or without a checkpoint; a
checkpoint only makes it faster. `tapewire.log.view_checkpointer` writes the checkpoints. Start at
`load`.
"""

from typing import Protocol, TypeVar

import structlog

from tapewire.events import Event, Undecodable, UnknownType
from tapewire.log.checkpoint import (
    Checkpoint,
    checkpoint_key,
    read_checkpoint,
    restore_state,
    write_checkpoint,
)
from tapewire.log.ports import (
    CATCH_UP_PAGE_BYTES,
    CATCH_UP_PAGE_EVENTS,
    PAGE_BYTES,
    PAGE_EVENTS,
    Bounds,
    EventLog,
    LatestValueStore,
    RecordedEvent,
    Unavailable,
)
from tapewire.log.subjects import pattern

logger = structlog.get_logger("tapewire.views")


class View(Protocol):
    """A pure fold of one owner's events of one domain."""

    def apply(self, event: Event) -> None: ...

    def encode(self) -> bytes: ...


V = TypeVar("V", bound=View)


V_co = TypeVar("V_co", bound=View, covariant=True)


class ViewType(Protocol[V_co]):
    """The class of a view. `decode` restores a view from `View.encode`. If two views fold the same
    domain, one has a `name` of its own."""

    domain: str

    def __call__(self) -> V_co: ...

    def decode(self, data: bytes) -> V_co: ...


def checkpoint_name(view_type: ViewType[View]) -> str:
    """The name of a view's checkpoints: its `name`, or its domain."""
    name: str = getattr(view_type, "name", view_type.domain)
    return name


def apply_event(view: View, recorded: RecordedEvent) -> None:
    """Apply `recorded` to `view`; skip an event that this version cannot read."""
    try:
        view.apply(recorded.event)
    except (UnknownType, Undecodable) as error:
        logger.warning("view.event_skipped", sequence=recorded.sequence, error=str(error))


async def load(
    log: EventLog,
    checkpoint_store: LatestValueStore,
    view_type: ViewType[V],
    owner: str,
    *,
    bounds: Bounds | None = None,
) -> tuple[V, Bounds]:
    """Load the view of `owner` exactly as of ``bounds.last``. Returns the view and those bounds.

    Args:
        bounds: an earlier result of `EventLog.bounds`, to load several views as of one sequence;
            the current bounds if None.

    Raises:
        Unavailable: the log or the checkpoint cannot be reached, a replica lags for too long, or
            the log changed while it was read.
    """
    bounds = bounds or await log.bounds()
    key = checkpoint_key(owner, checkpoint_name(view_type))
    checkpoint = await read_checkpoint(checkpoint_store, key)
    view, as_of = _restore_view(checkpoint, view_type, bounds, key)
    await _replay(log, view, pattern(owner=owner, domain=view_type.domain), as_of, bounds.last)
    _check_complete(checkpoint, as_of, bounds, await log.bounds())
    return view, bounds


async def save(
    checkpoint_store: LatestValueStore, owner: str, name: str, view: View, bounds: Bounds
) -> None:
    """Store `view`, as of ``bounds.last``, as the checkpoint. Raises LogError."""
    await write_checkpoint(
        checkpoint_store,
        checkpoint_key(owner, name),
        epoch=bounds.epoch,
        as_of=bounds.last,
        state=view.encode(),
    )


def _restore_view(
    checkpoint: Checkpoint | None, view_type: ViewType[V], bounds: Bounds, key: str
) -> tuple[V, int]:
    view = restore_state(checkpoint, bounds, view_type.decode, name=key)
    if checkpoint is None or view is None:
        return view_type(), 0
    return view, checkpoint.as_of


def _check_complete(
    checkpoint: Checkpoint | None, as_of: int, bounds: Bounds, current_bounds: Bounds
) -> None:
    """Check that the log still holds everything that was folded.

    Raises:
        Unavailable: a retry with newer bounds can succeed. The log was recreated, or it was trimmed
            since the checkpoint was read or up to a checkpoint that is ahead of these bounds.
    """
    if current_bounds.epoch != bounds.epoch:
        raise Unavailable(
            f"the log was recreated as {current_bounds.epoch} while {bounds.epoch} was read"
        )
    if current_bounds.first <= as_of + 1:
        return
    ahead = checkpoint is not None and checkpoint.is_ahead_of(bounds)
    if ahead or current_bounds.first > bounds.first:
        raise Unavailable(
            f"the log begins at {current_bounds.first}, the view needs it from {as_of + 1}"
        )
    logger.warning("view.incomplete", first_sequence=current_bounds.first, sequence=as_of)


async def _replay(log: EventLog, view: View, filter_: str, after: int, up_to_sequence: int) -> None:
    """Apply all events that match `filter_` after `after`, up to and including `up_to_sequence`.
    Raises Unavailable if a replica does not hold everything that the leader counts."""
    last = min(await log.last_sequence(filter_), up_to_sequence)
    limit, max_bytes = PAGE_EVENTS, PAGE_BYTES
    while after < last:
        page = await log.page(filter_, after=after, limit=limit, max_bytes=max_bytes)
        limit, max_bytes = CATCH_UP_PAGE_EVENTS, CATCH_UP_PAGE_BYTES
        if not page.events:
            raise Unavailable(f"{filter_} should reach {last}, a replica ends at {after}")
        for recorded in page.events:
            if recorded.sequence > up_to_sequence:
                return
            apply_event(view, recorded)
            after = recorded.sequence
