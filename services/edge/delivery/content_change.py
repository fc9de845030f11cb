"""Changes what an open connection shows, without a gap.

    leave live → snapshot of the added topics, true as of S → events of the kept topics up to S
    → one write: the snapshot, the newest values, `stream:updated` with the id S → join again

The client has every event up to the same position of all topics, before and after the change. It
has the change once it receives `stream:updated`. Start reading at `ContentChange.apply`.
"""

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from tapewire.log import Bounds
from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.connection_info import StreamContent
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.log_replay import LogReplay, StreamParts
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.control_messages import (
    CHECKPOINT,
    stream_updated_message,
)
from tapewire_services.edge.delivery.stream_writer import StreamWriter
from tapewire_services.edge.delivery.topics import Interest, combine_topics
from tapewire_services.edge.ingest.log_tail import NotReady

logger = structlog.get_logger("edge.catch_up")


class ContentChange:
    """The changes of one connection. `subscribe_to_values` subscribes it anew to newest-wins
    values, and returns the messages to begin with."""

    def __init__(
        self,
        shared: StreamParts,
        connection: Connection,
        writer: StreamWriter,
        replay: LogReplay,
        subscribe_to_values: Callable[[ValueSubscription], list[SseMessage]],
    ) -> None:
        self._shared = shared
        self._connection = connection
        self._writer = writer
        self._replay = replay
        self._subscribe_to_values = subscribe_to_values

    async def apply(self) -> None:
        """Change to the requested content. The connection is not live. The change stays pending
        when the log was recreated meanwhile."""
        connection = self._connection
        old, new = connection.content, connection.requested_content
        added = combine_topics(topic for topic in new.topics if topic not in old.topics)
        kept = combine_topics(topic for topic in new.topics if topic in old.topics)
        messages: Sequence[SseMessage] = ()
        sequence = connection.position
        if added.is_lossless:
            snapshot, bounds = await self._replay.retry_until_read(
                partial(self._read_snapshot, added)
            )
            messages, sequence = [one for one in snapshot if one != CHECKPOINT], bounds.last
            if not await self._advance_kept_topics(old, kept, bounds):
                return
        self._replay.change_interest(new.interest)
        await self._write_change(old, new, messages, sequence)
        connection.content_changed(new)
        logger.info(
            "stream.content_changed",
            client_id=connection.info.client_id,
            topics=new.topic_names,
        )

    async def _read_snapshot(self, added: Interest) -> tuple[list[SseMessage], Bounds]:
        """Read the snapshot of the added topics. Raises LogError, or NotReady when the client has
        later events than this process."""
        connection = self._connection
        snapshot, bounds = await self._shared.snapshots.read_snapshot(connection, added)
        if bounds.last < connection.position:
            raise NotReady(f"the log tail is behind {connection.position}")
        return snapshot, bounds

    async def _advance_kept_topics(
        self, old: StreamContent, kept: Interest, bounds: Bounds
    ) -> bool:
        """Write the events of the topics that stay, up to the snapshot. Return False, with the old
        content, when that is impossible."""
        if kept.is_lossless:
            self._replay.change_interest(kept)
            is_same_log = self._replay.epoch == bounds.epoch
            if not is_same_log or not await self._replay.write_up_to(bounds.last):
                self._replay.change_interest(old.interest)
                return False
        self._replay.epoch = bounds.epoch
        return True

    async def _write_change(
        self,
        old: StreamContent,
        new: StreamContent,
        messages: Sequence[SseMessage],
        sequence: int,
    ) -> None:
        """Write everything of the change at once: a client that receives only a part of it has
        neither the new content nor its id."""
        connection = self._connection
        values = list[SseMessage]()
        if new.values != old.values or new.interest.live_values != old.interest.live_values:
            values = self._subscribe_to_values(new.values)
        event_id = None
        if new.interest.is_lossless and sequence > connection.last_sent_sequence:
            event_id = Cursor(self._replay.epoch, sequence)
            connection.sent(sequence)
        connection.advance(sequence)
        symbols = self._shared.live_values.requested_symbols(new.values)
        updated = stream_updated_message(
            new.topic_names,
            None if symbols is None else symbols.names(),
            new.values.max_rate,
            unknown=[] if symbols is None else symbols.find_unknown(),
        )
        await self._writer.send([*messages, *values], updated, event_id)
