"""Idempotency keys: a key that was used for one command is never used for another.

A command with a key appends `IdempotencyKeyUsed` in the same atomic batch as its events. Its
subject follows from the user and the key, and the append expects that subject to be empty.
So one command of a key is carried out, at any time and in any process, and a rejected one leaves
the key unused. A key is forgotten when its event is archived (`tapewire.archive`). Start at
`IdempotencyKey`.
"""

import asyncio

import msgspec

from tapewire.events import IdempotencyKeyUsed
from tapewire.log.ids import event_id
from tapewire.log.ports import EventDraft, EventLog, EventMetadata, Unavailable
from tapewire.log.rejection import CommandRejected
from tapewire.log.subjects import EventSubject

DOMAIN = "keys"
KEY_HEADER = "Idempotency-Key"
KEY_REUSED = "key_reused"
"""The code of a command whose key was used for another command."""
MAX_READS = 5
"""Reads of a key before the reader gives up on a lagging replica."""
INITIAL_LAG_WAIT_SECONDS = 0.02
"""The wait before the second read; it doubles before each further read."""


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a command of `user`.

    `command_id` follows from the user, the kind of command and `text`, which is the key as the user
    sent it. `digest` is the digest of the command's content.
    """

    user: str
    text: str
    command_id: str
    digest: str

    @property
    def subject(self) -> EventSubject:
        """The subject of the key's only event."""
        return EventSubject(self.user, DOMAIN, self.command_id)

    def draft(self, correlation: str, traceparent: str | None) -> EventDraft:
        """The event that marks the key as used; it is stored only if the key is unused."""
        return EventDraft(
            subject=self.subject,
            event=IdempotencyKeyUsed(command_id=self.command_id, digest=self.digest),
            metadata=EventMetadata(
                id=event_id(self.command_id, self.subject, 0, 0),
                correlation=correlation,
                causation=self.command_id,
                traceparent=traceparent,
            ),
            expected_sequence=0,
        )


async def is_key_used(log: EventLog, key: IdempotencyKey) -> bool:
    """Whether the command of `key` was carried out.

    Raises:
        CommandRejected: `KEY_REUSED`, the key was used for a command with another content.
        Unavailable: the log cannot be read.
    """
    subject = str(key.subject)
    if not await log.last_sequence(subject):
        return False
    for attempt in range(MAX_READS):
        for recorded in await log.last_events([subject]):
            _check_content(key, recorded.event)
            return True
        await asyncio.sleep(INITIAL_LAG_WAIT_SECONDS * 2**attempt)
    raise Unavailable(f"{subject} is stored, and a replica does not have it yet")


def _check_content(key: IdempotencyKey, used: object) -> None:
    if not isinstance(used, IdempotencyKeyUsed) or used.digest != key.digest:
        message = f"{KEY_HEADER} {key.text!r} was used for another request"
        raise CommandRejected(KEY_REUSED, message, KEY_HEADER)
