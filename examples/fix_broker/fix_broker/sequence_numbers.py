"""The sequence numbers of a session, which outlive its process."""

import itertools

import msgspec


class SequenceNumbers(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The numbers of the next message in each direction, as they are stored, and the trading day
    that they belong to; None if they do not begin anew every day."""

    next_outgoing: int = 1
    next_incoming: int = 1
    day: str | None = None


class NumberLedger:
    """Counts the messages of both directions.

    A received message counts as received when its processing begins, but is stored as received only
    when it and all before it were processed. After a crash the venue is asked for the others again.
    """

    def __init__(self, stored: SequenceNumbers) -> None:
        self.next_outgoing = stored.next_outgoing
        self.next_incoming = stored.next_incoming
        self.day = stored.day
        self._receipts = itertools.count()
        self._in_progress: dict[int, int] = {}

    def take_outgoing(self) -> int:
        """The number of the next message to send."""
        self.next_outgoing += 1
        return self.next_outgoing - 1

    def begin_processing(self, sequence: int) -> int:
        """Note that the message `sequence` is being processed. Returns a receipt for `end`."""
        receipt = next(self._receipts)
        self._in_progress[receipt] = sequence
        return receipt

    def end_processing(self, receipt: int) -> None:
        """Note that a message was processed."""
        self._in_progress.pop(receipt, None)

    def reset(self, *, next_outgoing: int = 1, next_incoming: int = 1) -> None:
        """Start from other numbers, because both sides agreed to."""
        self.next_outgoing, self.next_incoming = next_outgoing, next_incoming
        self._in_progress.clear()

    def storable(self) -> SequenceNumbers:
        """What must be stored before anything else is sent."""
        oldest = min(self._in_progress.values(), default=self.next_incoming)
        return SequenceNumbers(
            next_outgoing=self.next_outgoing,
            next_incoming=min(oldest, self.next_incoming),
            day=self.day,
        )
