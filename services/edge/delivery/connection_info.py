"""The properties of a connection that are fixed when it opens."""

import functools
from datetime import datetime

import msgspec

from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.selection import Selection
from tapewire_services.edge.delivery.stream_routes import StreamRoute
from tapewire_services.edge.delivery.topics import BARS, Interest, Topic, combine_topics

ANONYMOUS = "anonymous"
"""What the client ids of streams without a session begin with, as with a user's id."""
CHANGE_KEY_BYTES = 16

# Streams of the same topics share the result, which is a large part of what an idle one keeps.
_combine_topics = functools.lru_cache(maxsize=256)(combine_topics)


class StreamContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection is shown: its topics, and the newest-wins values that its client asks
    for."""

    topics: tuple[Topic, ...]
    values: ValueSubscription

    @property
    def interest(self) -> Interest:
        """What the topics show together."""
        return _combine_topics(self.topics)

    @property
    def topic_names(self) -> list[str]:
        """The names of the topics; series of bars in the form of the query."""
        names = [topic.name for topic in self.topics if topic is not BARS]
        return [*names, *(f"{BARS.name}:{series}" for series in sorted(self.values.bars))]


class LongPoll(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that ends after its first flush, or without one after `wait_seconds`.

    A poll without an event id begins as any stream does. One with an id sends only what is new to
    its client.
    """

    wait_seconds: float


class ConnectionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a connection that are fixed when it opens.

    `user_id` is who is connected, `owner` whose events are shown; `selection` narrows them.
    `content` is what the client asked for when it connected (see `Connection.request_content`).
    `change_key` is what a client without a session must know to change its stream; it is told to
    that client only, and stands in no log.
    `until_sequence` ends the stream at that sequence of the log. `is_handover` says that the client
    keeps another connection open until this one reports that it is live. `poll` makes it a
    long-poll.
    """

    client_id: str
    route: StreamRoute
    owner: str | None
    correlation: str
    content: StreamContent
    user_id: str | None = None
    is_admin: bool = False
    session_id: str | None = None
    expires_at: datetime | None = None
    selection: Selection | None = None
    until_sequence: int | None = None
    is_handover: bool = False
    poll: LongPoll | None = None
    change_key: str | None = None

    @property
    def told_client_id(self) -> str:
        """The id by which the client can change the stream."""
        return self.client_id if self.change_key is None else f"{self.client_id}-{self.change_key}"
