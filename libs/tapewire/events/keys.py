"""The idempotency keys that users have used. No stream shows these events."""

from typing import Annotated

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import about


@event("key.used", subject="ev.{user}.keys.{commandId}")
class IdempotencyKeyUsed(Event, frozen=True, kw_only=True):
    """A command with an idempotency key was carried out. Stored in one atomic batch with the
    events of the command, and only once for each key."""

    command_id: Annotated[str, about("the command, whose id follows from the user and the key")]
    digest: Annotated[str, about("the SHA-256 of the command's content, in hexadecimal")]
