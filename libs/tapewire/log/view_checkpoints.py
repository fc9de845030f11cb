"""Views at a known sequence: the checkpoint, plus the events that came after it.

`load` returns a view exactly as of one sequence of the log, with or without a checkpoint; a
checkpoint only makes it faster. `tapewire.log.view_checkpointer` writes the checkpoints. Start at
`load`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec
import structlog

from tapewire.events import Event, Undecodable, UnknownType
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import (
    Checkpoint,
    checkpoint_key,
    read_checkpoint_revision,
    restore_state,
    write_checkpoint,
)
from tapewire.log.event_search import has_events
from tapewire.log.ports import (
    CATCH_UP_PAGE_BYTES,
    CATCH_UP_PAGE_EVENTS,
    PAGE_BYTES,
    PAGE_EVENTS,
    EventLog,
    LatestValueStore,
    LogError,
    RecordedEvent,
    Unavailable,
)
from tapewire.log.subjects import matches, pattern

MIN_SHARED_READ_EVENTS = 50_000
MIN_SHARED_READ_PART = 0.2
"""If this many events are left, and this part of all later events, the whole log is read."""
EVENTS_PER_STEP = 256
"""Events that are applied before other tasks of the event loop get their turn."""

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


class TooManyEvents(LogError):
    """More events came after the checkpoint than the caller is ready to read."""


StepHook = Callable[[int], Awaitable[None]]
"""Called every `EVENTS_PER_STEP` events, with the sequence up to which the view is complete."""


class LoadStart(msgspec.Struct, frozen=True):
    """The checkpoint that a view was loaded from: its sequence, 0 without a usable one, and the
    revision of the stored value."""

    sequence: int
    revision: int


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
    view, bounds, _ = await load_with_start(log, checkpoint_store, view_type, owner, bounds=bounds)
    return view, bounds


async def load_with_start(
    log: EventLog,
    checkpoint_store: LatestValueStore,
    view_type: ViewType[V],
    owner: str,
    *,
    bounds: Bounds | None = None,
    max_events: int | None = None,
    on_step: Callable[[V, LoadStart], StepHook] | None = None,
    page_events: int = CATCH_UP_PAGE_EVENTS,
    page_bytes: int = CATCH_UP_PAGE_BYTES,
    may_be_later: bool = False,
    is_dense: Callable[[V, int], bool] | None = None,
) -> tuple[V, Bounds, LoadStart]:
    """As `load`, and where it started.

    Args:
        max_events: how many events after the checkpoint to read at most; None for any number.
        on_step: makes the hook that is called after every `EVENTS_PER_STEP` events, from the view
            and the start.
        page_events, page_bytes: the size of a page of the log, the first one excepted.
        may_be_later: use a checkpoint that another process stored after `bounds` were read; the
            view is then as of newer bounds.
        is_dense: whether the events of the checkpoint's view are a large part of the log up to its
            sequence. If so, the whole log is read: see `_cheaper_filter`.

    Raises:
        TooManyEvents: there are more than `max_events`.
    """
    bounds = bounds or await log.bounds()
    key = checkpoint_key(owner, checkpoint_name(view_type))
    checkpoint, revision = await read_checkpoint_revision(checkpoint_store, key)
    if may_be_later and checkpoint is not None and checkpoint.is_ahead_of(bounds):
        bounds = await log.bounds()
    view, as_of = _restore_view(checkpoint, view_type, bounds, key)
    filter_ = pattern(owner=owner, domain=view_type.domain)
    await _replay(
        log,
        view,
        filter_,
        as_of,
        bounds.last,
        max_events=max_events,
        is_dense=is_dense is not None and is_dense(view, as_of),
        after_step=None if on_step is None else on_step(view, LoadStart(as_of, revision)),
        page_events=page_events,
        page_bytes=page_bytes,
    )
    _check_complete(checkpoint, as_of, bounds, await log.bounds())
    return view, bounds, LoadStart(as_of, revision)


async def replay(
    log: EventLog,
    view: View,
    view_type: ViewType[View],
    owner: str,
    *,
    after: int,
    bounds: Bounds,
    max_events: int,
) -> None:
    """Apply the events of `owner` after sequence `after` to `view`, which is as of it. After an
    error the view must not be used.

    Raises:
        TooManyEvents: there are more than `max_events`.
        Unavailable: as for `load`.
    """
    filter_ = pattern(owner=owner, domain=view_type.domain)
    await _replay(log, view, filter_, after, bounds.last, max_events=max_events)
    _check_complete(None, after, bounds, await log.bounds())


async def save(
    checkpoint_store: LatestValueStore,
    owner: str,
    name: str,
    view: View,
    bounds: Bounds,
    *,
    revision: int | None = None,
) -> int:
    """Store `view` as the checkpoint, as of ``bounds.last``; returns the bytes of its state. Raises
    LogError; Conflict if the checkpoint that the view was loaded from, `revision`, was replaced."""
    state, key = view.encode(), checkpoint_key(owner, name)
    epoch, as_of = bounds.epoch, bounds.last
    await write_checkpoint(
        checkpoint_store, key, epoch=epoch, as_of=as_of, state=state, revision=revision
    )
    return len(state)


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
    if checkpoint is not None:  # a user without earlier events has none in an archived log
        logger.warning("view.incomplete", first_sequence=current_bounds.first, sequence=as_of)


def _cheaper_filter(filter_: str, remaining: int, distance: int) -> str:
    """The filter to read the next page with, if `remaining` of the next `distance` events match
    `filter_`. For every page the server looks at every subject that matches, or at every block of
    the log to its end; it has no such work with pages of the whole log."""
    is_large = remaining > MIN_SHARED_READ_EVENTS and remaining > distance * MIN_SHARED_READ_PART
    return pattern() if is_large else filter_


async def _replay(
    log: EventLog,
    view: View,
    filter_: str,
    after: int,
    up_to_sequence: int,
    *,
    max_events: int | None = None,
    is_dense: bool = False,
    after_step: StepHook | None = None,
    page_events: int = CATCH_UP_PAGE_EVENTS,
    page_bytes: int = CATCH_UP_PAGE_BYTES,
) -> None:
    """Apply all events that match `filter_` after `after`, up to and including `up_to_sequence`.

    Raises:
        Unavailable: a replica does not hold an event that the leader has.
        TooManyEvents: there are more than `max_events`.
    """
    limit, max_bytes, count = PAGE_EVENTS, PAGE_BYTES, 0
    read_filter = pattern() if is_dense else filter_
    is_proven = False  # that the log holds more
    while after < up_to_sequence:
        # The leader knows whether there is anything; a replica may lag.
        if not is_proven and not await has_events(log, filter_, after, up_to_sequence):
            return
        page = await log.page(read_filter, after=after, limit=limit, max_bytes=max_bytes)
        limit, max_bytes = page_events, page_bytes
        if not page.events:
            raise Unavailable(f"{filter_} goes on after {after}, where a replica ends")
        count += len(page.events)
        if max_events is not None and count + page.remaining > max_events:
            raise TooManyEvents(f"{count + page.remaining} events of {filter_} after {after}")
        for number, recorded in enumerate(page.events, 1):
            if recorded.sequence > up_to_sequence:
                return
            if read_filter == filter_ or matches(filter_, recorded.subject):
                apply_event(view, recorded)
            after = recorded.sequence
            if not number % EVENTS_PER_STEP:
                await asyncio.sleep(0)
                if after_step is not None:
                    await after_step(after)
        is_proven = page.has_more
        read_filter = _cheaper_filter(filter_, page.remaining, up_to_sequence - after)
