"""How far a journal may be archived: up to the first event that somebody still has to handle.

A durable subscription needs every event that it has not acknowledged, a catch-up subscription every
event after its checkpoint. Events that were stored a short time ago stay too, because commands are
repeated under their ids and idempotency keys. Start at `find_horizon`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from tapewire.log import EVERYBODY, EventLog, LatestValueStore, pattern
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import read_checkpoint, shared_checkpoint_key
from tapewire.log.jetstream import NatsConnection, stream_reads
from tapewire.log.jetstream.journal_removal import durable_positions
from tapewire.log.jetstream.streams import VIEWS
from tapewire.log.subjects import decode_token
from tapewire.verify.checkpoints import VIEW_TYPES


class Horizon(msgspec.Struct, frozen=True):
    """The first sequence that is not archived. `held_back_by` says who still needs it; None if it
    is the one that was asked for."""

    sequence: int
    held_back_by: str | None = None

    def limit(self, sequence: int, reason: str) -> "Horizon":
        """The horizon that lies at `sequence` at most."""
        return Horizon(sequence, reason) if sequence < self.sequence else self


async def find_horizon(
    connection: NatsConnection,
    log: EventLog,
    checkpoint_store: LatestValueStore,
    requested: datetime | int,
    *,
    min_age_seconds: float,
    subscription_filters: Mapping[str, str],
) -> Horizon:
    """The horizon that comes nearest to `requested`: a time, or the first sequence to keep.

    Args:
        min_age_seconds: the age that every archived event has at least.
        subscription_filters: the filter of each catch-up subscription by the name of its
            checkpoint. A checkpoint with another name counts as one of all events.

    Raises:
        LogError: the journal or the checkpoints cannot be read.
    """
    bounds = await log.bounds()
    if isinstance(requested, datetime):
        requested = await log.last_sequence_before(requested) + 1
    horizon = Horizon(requested).limit(bounds.last, "the last event stays")
    newest = datetime.now(UTC) - timedelta(seconds=min_age_seconds)
    horizon = horizon.limit(
        await log.last_sequence_before(newest) + 1, f"events of the last {min_age_seconds:g} s stay"
    )
    for position in await durable_positions(connection):
        for filter_ in position.filters:
            needed = await log.next_sequence(filter_, position.acknowledged)
            if needed:
                horizon = horizon.limit(needed, f"the durable subscription {position.name}")
    filters = {**await _unknown_subscriptions(connection), **subscription_filters}
    for name, filter_ in filters.items():
        handled = await _handled_sequence(checkpoint_store, name, bounds)
        if handled is None and name not in subscription_filters:
            continue
        needed = await log.next_sequence(filter_, handled or 0)
        if needed:
            horizon = horizon.limit(needed, f"the subscription {name}")
    return horizon


async def _handled_sequence(
    checkpoint_store: LatestValueStore, name: str, bounds: Bounds
) -> int | None:
    """The sequence that the checkpoint `name` covers; None without a usable checkpoint of a state
    that results from events."""
    checkpoint = await read_checkpoint(checkpoint_store, shared_checkpoint_key(name))
    if checkpoint is None or not checkpoint.as_of or not checkpoint.is_usable(bounds):
        return None
    return checkpoint.as_of


async def _unknown_subscriptions(connection: NatsConnection) -> dict[str, str]:
    """Shared checkpoints that are not those of views, each with the filter of all events."""
    subjects = await stream_reads.subjects(connection, VIEWS, f"view.{EVERYBODY}.*")
    names = (decode_token(subject.split(".")[2]) for subject in subjects)
    return {name: pattern() for name in names if name not in VIEW_TYPES}
