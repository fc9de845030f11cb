"""What was sent lately, to send it again when the venue missed it."""

from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from fix_broker.messages import SESSION_TYPES, Message, MsgType

MAX_MESSAGES = 10_000
MAX_RESEND_AGE_SECONDS = 10.0
"""An order message that is older is not sent again: its venue would execute it at prices that
nobody has seen. The venue is asked what became of the order instead."""


class SentMessage(msgspec.Struct, frozen=True):
    """An application message as it was sent. `sent_at` is monotonic, in seconds."""

    message: Message
    sending_time: datetime
    sent_at: float


class Gap(msgspec.Struct, frozen=True):
    """The numbers up to `last` are not sent again."""

    first: int
    last: int


class SentMessages:
    """The last application messages, by number."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._messages: dict[int, SentMessage] = {}

    def add(self, sequence: int, message: Message, sending_time: datetime) -> None:
        if message.type in SESSION_TYPES:
            return
        self._messages[sequence] = SentMessage(message, sending_time, self._timer())
        if len(self._messages) > MAX_MESSAGES:
            del self._messages[next(iter(self._messages))]

    def get(self, sequence: int) -> Message | None:
        """The application message with this number; None if it is not known any more."""
        sent = self._messages.get(sequence)
        return None if sent is None else sent.message

    def clear(self) -> None:
        self._messages.clear()

    def forget_questions(self) -> None:
        """Forget what asked for a status: it is asked for anew after each logon."""
        for number, sent in list(self._messages.items()):
            if sent.message.type == MsgType.ORDER_STATUS_REQUEST:
                del self._messages[number]

    def is_stale(self, first: int, last: int) -> bool:
        """Whether one of these messages is too old to be sent again."""
        numbers = (number for number in self._messages if first <= number <= last)
        return any(not self._is_fresh(self._messages[number]) for number in numbers)

    def replay(self, first: int, last: int) -> Iterator[tuple[int, SentMessage] | Gap]:
        """What answers a request for these numbers, in their order."""
        gap_start = first
        for number in sorted(n for n in self._messages if first <= n <= last):
            sent = self._messages[number]
            if not self._is_fresh(sent):
                continue
            if gap_start < number:
                yield Gap(gap_start, number - 1)
            yield number, sent
            gap_start = number + 1
        if gap_start <= last:
            yield Gap(gap_start, last)

    def _is_fresh(self, sent: SentMessage) -> bool:
        return self._timer() - sent.sent_at <= MAX_RESEND_AGE_SECONDS
