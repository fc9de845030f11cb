"""Atomic batch publish: several messages that a stream stores together or not at all.

nats-py has no method for it. Every message names the batch; the last one commits it, and only that
one is acknowledged.
"""

import secrets
from collections.abc import Mapping, Sequence

from nats.aio.msg import Msg

from tapewire.log.jetstream.connection import NatsConnection

CONFLICT_CODES = {10071, 10164}
"""The server's errors for a subject that is not at its expected sequence."""

OutgoingMessage = tuple[str, bytes, dict[str, str]]
"""Subject, payload and headers."""


async def store_together(connection: NatsConnection, messages: Sequence[OutgoingMessage]) -> Msg:
    """Store `messages` (at least one) together, and return the server's answer to the last.

    Raises the errors of `NatsConnection.request`.
    """
    *earlier, (subject, data, headers) = messages
    if earlier:
        batch = secrets.token_hex(16)
        for number, (early_subject, early_data, early_headers) in enumerate(earlier, 1):
            batch_headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            await connection.publish(early_subject, early_data, early_headers | batch_headers)
        headers = headers | {
            "Nats-Batch-Id": batch,
            "Nats-Batch-Sequence": str(len(messages)),
            "Nats-Batch-Commit": "1",
        }
    return await connection.request(subject, data, headers or None)


def is_batch_complete(headers: Mapping[str, str]) -> bool:
    """Whether no message of the same batch follows the stored message with these headers."""
    return "Nats-Batch-Id" not in headers or "Nats-Batch-Commit" in headers
