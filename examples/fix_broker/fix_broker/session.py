"""The session layer of FIX 4.4 as the initiator: logon, heartbeats, numbers, gaps, resends, logout.

Pure: `FixSession` gets messages and the time, and leaves what is to be sent in `take_outgoing` and
what the application must know in the events that `receive` returns. One session lives through many
connections. Start at `FixSession.receive`.
"""

from collections.abc import Callable
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from fix_broker.messages import BadField, Message, MsgType, Tag, format_time
from fix_broker.outbox import Outbox
from fix_broker.sequence_numbers import NumberLedger
from fix_broker.session_events import (
    LogonAnswer,
    OrdersInDoubt,
    ReceivedMessage,
    SessionEnd,
    SessionEvent,
)
from fix_broker.settings import FixSettings

ANSWER_SECONDS = 10.0
"""How long a logon or a logout waits for its answer."""
SILENCE_TOLERANCE = 1.2
"""The part of the heartbeat interval after which a silent venue gets a test request."""
VALUE_INCORRECT, REQUIRED_TAG_MISSING, COMP_ID_PROBLEM = 5, 1, 9
"""Values of SessionRejectReason."""


class FixSession:
    """One session with one venue.

    Args:
        clock: the UTC time, for the venue.
        timer: a monotonic time in seconds, for heartbeats.
    """

    def __init__(
        self,
        settings: FixSettings,
        numbers: NumberLedger,
        logger: FilteringBoundLogger,
        clock: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self.numbers = numbers
        self.is_logged_on = False
        self.end: SessionEnd | None = None
        self._settings = settings
        self._logger = logger
        self._clock = clock
        self._timer = timer
        self._outbox = Outbox(settings, numbers, clock, timer)
        self._day: str | None = None
        self._resets = False
        """Whether the logon asks the venue to begin anew."""
        self._awaited_until = 0.0
        self._logout_sent = False
        self._gap_end = 0
        self._gap_requested_at = 0.0
        self._test_requested = False
        self._last_received_at = timer()

    def open(self) -> None:
        """Begin on a new connection: send a logon."""
        self._outbox.begin_connection()
        self.is_logged_on = self._logout_sent = self._test_requested = False
        self.end, self._gap_end = None, 0
        self._last_received_at = self._timer()
        self._awaited_until = self._timer() + ANSWER_SECONDS
        self._day = self._settings.day_of(self._clock())
        begins_day = self._day is not None and self._day != self.numbers.day
        self._resets = self._settings.resets_on_logon or begins_day
        if self._resets:
            self._reset_numbers()
        self._outbox.send(
            MsgType.LOGON,
            (Tag.ENCRYPT_METHOD, 0),
            (Tag.HEART_BT_INT, self._settings.heartbeat_seconds),
            (Tag.RESET_SEQ_NUM_FLAG, "Y" if self._resets else None),
            (Tag.USERNAME, self._settings.username),
            (Tag.PASSWORD, self._settings.password),
        )

    def disconnect(self, reason: str) -> None:
        """The connection is gone."""
        if self.end is None:
            self._finish("logged out" if self._logout_sent else reason, is_fault=False)

    def take_outgoing(self) -> bytes:
        """What is to be sent. Store `numbers` before it is: a number must never be used twice."""
        return self._outbox.take()

    def tick(self) -> None:
        """Do what is due: heartbeats, test requests, the end of waiting. Call it often."""
        now = self._timer()
        if not self.is_logged_on or self._logout_sent:
            if now > self._awaited_until:
                what = "logout" if self._logout_sent else "logon"
                self._finish(f"the venue does not answer the {what}", is_fault=False)
            return
        interval = self._settings.heartbeat_seconds
        silence = now - self._last_received_at
        if silence > 2 * SILENCE_TOLERANCE * interval:
            self._finish(f"the venue has been silent for {silence:.0f} s", is_fault=False)
        elif silence > SILENCE_TOLERANCE * interval and not self._test_requested:
            self._test_requested = True
            text = format_time(self._clock())
            self._outbox.send(MsgType.TEST_REQUEST, (Tag.TEST_REQ_ID, text))
        if now - self._outbox.last_sent_at >= interval:
            self._outbox.send(MsgType.HEARTBEAT)
        if self._is_gap_open() and now - self._gap_requested_at > interval:
            self._request_resend(self._gap_end)

    def log_out(self, reason: str) -> None:
        """Ask the venue to end the session."""
        if self.is_logged_on and not self._logout_sent:
            self._outbox.send(MsgType.LOGOUT, (Tag.TEXT, reason))
            self._logout_sent = True
            self._awaited_until = self._timer() + ANSWER_SECONDS

    def send(self, message: Message) -> None:
        """Send an application message. Only while `is_logged_on`."""
        if not self.is_logged_on:
            raise RuntimeError("the session is not logged on")
        self._outbox.send_message(message)

    def receive(self, message: Message) -> list[SessionEvent]:
        """Take a message of the venue."""
        if self.end is not None:
            return []
        self._last_received_at = self._timer()
        self._test_requested = False
        try:
            return self._receive(message)
        except BadField as error:
            self._logger.error("fix.bad_message", type=message.type, reason=str(error))
            if message.get(Tag.MSG_SEQ_NUM) is None:
                self._fail(str(error))
            else:
                self.reject(message, error)
            return []

    def reject(self, message: Message, error: BadField) -> None:
        """Tell the venue that `message` cannot be read."""
        is_missing = message.get(error.tag) is None
        self._outbox.send(
            MsgType.REJECT,
            (Tag.REF_SEQ_NUM, message.get(Tag.MSG_SEQ_NUM)),
            (Tag.REF_TAG_ID, error.tag.value),
            (Tag.REF_MSG_TYPE, message.type),
            (
                Tag.SESSION_REJECT_REASON,
                REQUIRED_TAG_MISSING if is_missing else VALUE_INCORRECT,
            ),
            (Tag.TEXT, str(error)),
        )

    def _receive(self, message: Message) -> list[SessionEvent]:
        if not self._is_from_venue(message):
            return []
        if not self.is_logged_on and message.type not in (MsgType.LOGON, MsgType.LOGOUT):
            reason = f"the first message is of type {message.type}, not a logon"
            self._finish(reason, is_fault=False)
            return []
        if message.type == MsgType.SEQUENCE_RESET and not message.is_set(Tag.GAP_FILL_FLAG):
            self._advance_incoming(message)
            return []
        if message.type == MsgType.LOGON and message.is_set(Tag.RESET_SEQ_NUM_FLAG):
            self._accept_reset()
        sequence, expected = message.sequence, self.numbers.next_incoming
        if sequence > expected:
            return self._receive_early(message, sequence)
        if sequence < expected:
            if not message.is_set(Tag.POSS_DUP_FLAG):
                self._fail(f"MsgSeqNum too low, expecting {expected} but received {sequence}")
            return []
        self.numbers.next_incoming = sequence + 1
        return self._process(message, sequence)

    def _receive_early(self, message: Message, sequence: int) -> list[SessionEvent]:
        """Messages before this one are missing. It will be sent again with them; only what would
        block both sides is processed at once."""
        events: list[SessionEvent] = []
        if message.type in (MsgType.LOGON, MsgType.LOGOUT, MsgType.RESEND_REQUEST):
            events = self._process(message, sequence)
        if self.end is None and not self._is_gap_open():
            self._logger.warning("fix.gap", expected=self.numbers.next_incoming, received=sequence)
            self._request_resend(sequence)
        return events

    def _process(self, message: Message, sequence: int) -> list[SessionEvent]:
        match message.type:
            case MsgType.HEARTBEAT:
                return []
            case MsgType.TEST_REQUEST:
                answer = (Tag.TEST_REQ_ID, message.require(Tag.TEST_REQ_ID))
                self._outbox.send(MsgType.HEARTBEAT, answer)
                return []
            case MsgType.RESEND_REQUEST:
                return self._resend(message)
            case MsgType.SEQUENCE_RESET:
                self._advance_incoming(message)
                return []
            case MsgType.LOGOUT:
                self._receive_logout(message)
                return []
            case MsgType.LOGON:
                self.is_logged_on = True
                self.numbers.day = self._day  # until then each logon asks for the reset again
                return [LogonAnswer()]
        return [self._deliver(message, sequence)]

    def _deliver(self, message: Message, sequence: int) -> ReceivedMessage:
        rejected = None
        if message.type in (MsgType.REJECT, MsgType.BUSINESS_MESSAGE_REJECT):
            reference = message.get(Tag.REF_SEQ_NUM) or ""
            rejected = self._outbox.find_sent(int(reference)) if reference.isdecimal() else None
        return ReceivedMessage(message, self.numbers.begin_processing(sequence), rejected)

    def _is_from_venue(self, message: Message) -> bool:
        ours, theirs = self._settings.sender_comp_id, self._settings.target_comp_id
        for tag, expected in ((Tag.SENDER_COMP_ID, theirs), (Tag.TARGET_COMP_ID, ours)):
            if message.require(tag) != expected:
                if self.is_logged_on:
                    self._outbox.send(
                        MsgType.REJECT,
                        (Tag.REF_SEQ_NUM, message.require(Tag.MSG_SEQ_NUM)),
                        (Tag.REF_TAG_ID, tag.value),
                        (Tag.SESSION_REJECT_REASON, COMP_ID_PROBLEM),
                    )
                self._fail(f"{tag.name} is {message.get(tag)!r}, not {expected!r}")
                return False
        return True

    def _receive_logout(self, message: Message) -> None:
        text = message.get(Tag.TEXT) or "without a reason"
        if self._logout_sent:
            self._finish("logged out", is_fault=False)
            return
        was_logged_on = self.is_logged_on
        self._outbox.send(MsgType.LOGOUT)
        self._finish(f"the venue ended the session: {text}", is_fault=not was_logged_on)

    def _accept_reset(self) -> None:
        if not self._resets:
            self._logger.warning("fix.numbers_reset", by="venue")
            self._reset_numbers()
            self.numbers.next_outgoing = 2
        self.numbers.next_incoming = 1

    def _reset_numbers(self) -> None:
        self.numbers.reset()
        self._outbox.forget_sent_messages()

    def _advance_incoming(self, message: Message) -> None:
        """The venue skips messages that it will not send again."""
        new = message.integer(Tag.NEW_SEQ_NO)
        if new < self.numbers.next_incoming:
            raise BadField(Tag.NEW_SEQ_NO, str(new))
        self.numbers.next_incoming = new

    def _is_gap_open(self) -> bool:
        return self.numbers.next_incoming <= self._gap_end

    def _request_resend(self, gap_end: int) -> None:
        self._gap_end, self._gap_requested_at = gap_end, self._timer()
        self._outbox.send(
            MsgType.RESEND_REQUEST,
            (Tag.BEGIN_SEQ_NO, self.numbers.next_incoming),
            (Tag.END_SEQ_NO, 0),
        )

    def _resend(self, request: Message) -> list[SessionEvent]:
        first, last = request.integer(Tag.BEGIN_SEQ_NO), request.integer(Tag.END_SEQ_NO)
        self._logger.info("fix.resent", first=first, last=last)
        return [OrdersInDoubt()] if self._outbox.resend(first, last) else []

    def _fail(self, reason: str) -> None:
        self._outbox.send(MsgType.LOGOUT, (Tag.TEXT, reason))
        self._finish(reason, is_fault=True)

    def _finish(self, reason: str, *, is_fault: bool) -> None:
        self.is_logged_on = False
        self.end = SessionEnd(reason, is_fault)
