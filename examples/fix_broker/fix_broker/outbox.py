"""Numbers and encodes what is sent, and sends it again when the venue missed it."""

from collections.abc import Callable
from datetime import datetime

from fix_broker.messages import Message, MsgType, Tag, encode, format_time, make_message
from fix_broker.sent_messages import Gap, SentMessages
from fix_broker.sequence_numbers import NumberLedger
from fix_broker.settings import FixSettings


class Outbox:
    """The messages to the venue. `last_sent_at` is monotonic, in seconds."""

    def __init__(
        self,
        settings: FixSettings,
        numbers: NumberLedger,
        clock: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._numbers = numbers
        self._clock = clock
        self._timer = timer
        self._sent_messages = SentMessages(timer)
        self._encoded: list[bytes] = []
        self.last_sent_at = timer()

    def take(self) -> bytes:
        """What is to be written to the connection."""
        data = b"".join(self._encoded)
        self._encoded.clear()
        return data

    def begin_connection(self) -> None:
        """Drop what was not written, and forget what is asked for anew."""
        self._encoded.clear()
        self._sent_messages.forget_questions()

    def forget_sent_messages(self) -> None:
        """The numbers begin anew: nothing of before can be sent again."""
        self._sent_messages.clear()

    def find_sent(self, sequence: int) -> Message | None:
        """The application message with this number; None if it is not known any more."""
        return self._sent_messages.get(sequence)

    def send(self, type_: MsgType, *fields: tuple[Tag, object]) -> None:
        """Send a message with the next number. Fields whose value is None are left out."""
        self.send_message(make_message(type_, *fields))

    def send_message(self, message: Message) -> None:
        """Send a message with the next number."""
        sequence, sending_time = self._numbers.take_outgoing(), self._clock()
        self._sent_messages.add(sequence, message, sending_time)
        self._write(sequence, message, sending_time)

    def resend(self, first: int, last: int) -> bool:
        """Answer a request for these numbers; 0 stands for the last one. Returns whether a message
        on an order was left out because it is too old."""
        newest = self._numbers.next_outgoing - 1
        last = min(last or newest, newest)
        leaves_out = self._sent_messages.is_stale(first, last)
        for item in self._sent_messages.replay(first, last):
            if isinstance(item, Gap):
                fields = ((Tag.GAP_FILL_FLAG, "Y"), (Tag.NEW_SEQ_NO, item.last + 1))
                filling = make_message(MsgType.SEQUENCE_RESET, *fields)
                self._write(item.first, filling, self._clock(), is_duplicate=True)
            else:
                sequence, sent = item
                self._write(sequence, sent.message, sent.sending_time, is_duplicate=True)
        return leaves_out

    def _write(
        self, sequence: int, message: Message, first_sent: datetime, *, is_duplicate: bool = False
    ) -> None:
        header: list[tuple[Tag, object]] = [
            (Tag.SENDER_COMP_ID, self._settings.sender_comp_id),
            (Tag.TARGET_COMP_ID, self._settings.target_comp_id),
            (Tag.MSG_SEQ_NUM, sequence),
            (Tag.SENDING_TIME, format_time(self._clock() if is_duplicate else first_sent)),
        ]
        if is_duplicate:
            header.append((Tag.POSS_DUP_FLAG, "Y"))
            header.append((Tag.ORIG_SENDING_TIME, format_time(first_sent)))
        if message.is_possible_resend:
            header.append((Tag.POSS_RESEND, "Y"))
        self._encoded.append(encode(message, header))
        self.last_sent_at = self._timer()
