"""The errors of the client's calls.

The log adds `Conflict` (the entity has another last event), `AppendRejected` (the event will never
be stored) and `Unavailable` (no server). Requests add `CommandRejected` and `RequestTimeout`.
"""

from tapewire.log import LogError
from tapewire.values import InvalidArgument

__all__ = ["InvalidArgument", "PublishTimeout", "ReservedEventType"]


class ReservedEventType(InvalidArgument):
    """Only a service of Tapewire writes events of this type. Send it a request instead."""


class PublishTimeout(LogError):
    """The log did not answer in time.

    If `may_be_stored`, the event may have been stored. Publish it again with
    ``event_id=error.event_id`` to store it once: the log remembers ids for two minutes. A value has
    no id and can be put again.
    """

    def __init__(
        self, target: str, event_id: str | None, reason: str, *, may_be_stored: bool
    ) -> None:
        state = "may have been stored" if may_be_stored else "was not stored"
        known = "" if event_id is None else f" (event_id={event_id!r})"
        super().__init__(f"{target} {state}{known}: {reason}")
        self.event_id = event_id
        self.may_be_stored = may_be_stored
