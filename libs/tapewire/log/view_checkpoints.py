"""Views at a known sequence: a checkpoint, and the fold of what came after it.

`load` gives the state of a view exactly as of one sequence of the log, whether or not a checkpoint
was ever written; checkpoints only make it quicker. A checkpoint from another incarnation of the
log, or one that does not decode, is as good as none.
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
    """A view's class: makes an empty one, and one from what `View.encode` gave. Where two views
    fold one domain, one has a `name` of its own (`name_of`)."""

    domain: str

    def __call__(self) -> V_co: ...

    def decode(self, data: bytes) -> V_co: ...


def checkpoint_name(view_type: ViewType[View]) -> str:
    """What a view's checkpoints are kept under: its `name`, or else its domain."""
    name: str = getattr(view_type, "name", view_type.domain)
    return name


def apply_event(view: View, recorded: RecordedEvent) -> None:
    """Apply `recorded` to `view`, passing over what this program cannot read."""
    try:
        view.apply(recorded.event)
    except (UnknownType, Undecodable) as error:
        logger.warning("a view passes over an event", sequence=recorded.sequence, error=str(error))


async def load(
    log: EventLog,
    checkpoint_store: LatestValueStore,
    view_type: ViewType[V],
    owner: str,
    *,
    bounds: Bounds | None = None,
) -> tuple[V, Bounds]:
    """The view of `owner` exactly as of ``bounds.last``, and those bounds.

    `bounds` may come from an earlier call of `EventLog.bounds`, so that several views are true for
    one sequence; without it the newest are asked for.

    Raises:
        Unavailable: the log or the checkpoints cannot be reached, or a replica lags for too long.
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
    """Store `view`, which is true as of ``bounds.last``, as the checkpoint. Raises LogError."""
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
    """Whether what was folded is all that there was, as the log is now.

    Raises Unavailable when another try with newer bounds can do better: the log was made anew, or
    trimmed since the checkpoint was read, or up to a checkpoint that is ahead of these bounds.
    """
    if current_bounds.epoch != bounds.epoch:
        raise Unavailable(
            f"the log was made anew as {current_bounds.epoch} while {bounds.epoch} was read"
        )
    if current_bounds.first <= as_of + 1:
        return
    ahead = checkpoint is not None and checkpoint.is_ahead_of(bounds)
    if ahead or current_bounds.first > bounds.first:
        raise Unavailable(
            f"the log begins at {current_bounds.first}, the view would at {as_of + 1}"
        )
    logger.warning("a view lacks what was trimmed", first=current_bounds.first, as_of=as_of)


async def _replay(log: EventLog, view: View, filter_: str, after: int, up_to_sequence: int) -> None:
    """Fold everything of `filter_` in (after, upto] into `view`.

    A page may come from a replica that lags: what the leader counts must have been seen.
    """
    wanted, limit, most = (
        min(await log.last_sequence(filter_), up_to_sequence),
        PAGE_EVENTS,
        PAGE_BYTES,
    )
    while after < wanted:
        page = await log.page(filter_, after=after, limit=limit, max_bytes=most)
        limit, most = CATCH_UP_PAGE_EVENTS, CATCH_UP_PAGE_BYTES
        if not page.events:
            raise Unavailable(f"{filter_} should reach {wanted}, a replica ends at {after}")
        for recorded in page.events:
            if recorded.sequence > up_to_sequence:
                return
            apply_event(view, recorded)
            after = recorded.sequence
