"""The properties of a connection that are fixed when it opens."""

from datetime import datetime

import msgspec

from tapewire_services.edge.delivery.selection import Selection
from tapewire_services.edge.delivery.stream_routes import Interest, StreamRoute


class LongPoll(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that ends after its first flush, or without one after `wait_seconds`.

    A poll that does not `resumes` begins as any stream does. One that resumes sends only what is
    new to its client.
    """

    wait_seconds: float
    resumes: bool


class ConnectionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a connection that are fixed when it opens.

    `user_id` is who is connected, `owner` whose events are shown; `selection` narrows them.
    `until_sequence` ends the stream at that sequence of the log. `is_handover` says that the client
    keeps another connection open until this one reports that it is live. `poll` makes it a
    long-poll.
    """

    client_id: str
    route: StreamRoute
    owner: str | None
    correlation: str
    interest: Interest
    user_id: str | None = None
    is_admin: bool = False
    session_id: str | None = None
    expires_at: datetime | None = None
    selection: Selection | None = None
    until_sequence: int | None = None
    is_handover: bool = False
    poll: LongPoll | None = None
