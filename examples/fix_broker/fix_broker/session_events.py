"""What a session tells the application."""

import msgspec

from fix_broker.messages import Message


class LogonAnswer(msgspec.Struct, frozen=True):
    """The venue answered the logon; orders may be sent."""


class OrdersInDoubt(msgspec.Struct, frozen=True):
    """The venue missed messages on orders that are too old to be sent again."""


class ReceivedMessage(msgspec.Struct, frozen=True):
    """A message for the application.

    Give `receipt` to `NumberLedger.end_processing` once the message was processed. `rejected` is
    the message of ours that it rejects by its number.
    """

    message: Message
    receipt: int
    rejected: Message | None = None


SessionEvent = LogonAnswer | OrdersInDoubt | ReceivedMessage


class SessionEnd(msgspec.Struct, frozen=True):
    """Why the connection must be closed. With `is_fault` people must look at it."""

    reason: str
    is_fault: bool
