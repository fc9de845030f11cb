"""Messages of FIX 4.4: their types, their fields, and their wire format by simplefix.

A `Message` has a type and the fields of its body. The header and the trailer belong to the session.
"""

import enum
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import msgspec
import simplefix

BEGIN_STRING = "FIX.4.4"


class MsgType(enum.StrEnum):
    """The types that this adapter sends or understands."""

    HEARTBEAT = "0"
    TEST_REQUEST = "1"
    RESEND_REQUEST = "2"
    REJECT = "3"
    SEQUENCE_RESET = "4"
    LOGOUT = "5"
    EXECUTION_REPORT = "8"
    ORDER_CANCEL_REJECT = "9"
    LOGON = "A"
    NEW_ORDER_SINGLE = "D"
    ORDER_CANCEL_REQUEST = "F"
    ORDER_CANCEL_REPLACE_REQUEST = "G"
    ORDER_STATUS_REQUEST = "H"
    BUSINESS_MESSAGE_REJECT = "j"


SESSION_TYPES = frozenset(
    {
        MsgType.HEARTBEAT,
        MsgType.TEST_REQUEST,
        MsgType.RESEND_REQUEST,
        MsgType.REJECT,
        MsgType.SEQUENCE_RESET,
        MsgType.LOGOUT,
        MsgType.LOGON,
    }
)
"""The types of the session layer. They are never sent again, but skipped by a gap fill."""


class Tag(enum.IntEnum):
    """The fields that this adapter sends or reads, under their names in FIX 4.4."""

    ACCOUNT = 1
    AVG_PX = 6
    BEGIN_SEQ_NO = 7
    BEGIN_STRING = 8
    CL_ORD_ID = 11
    COMMISSION = 12
    COMM_TYPE = 13
    CUM_QTY = 14
    END_SEQ_NO = 16
    EXEC_ID = 17
    EXEC_REF_ID = 19
    LAST_PX = 31
    LAST_QTY = 32
    MSG_SEQ_NUM = 34
    MSG_TYPE = 35
    NEW_SEQ_NO = 36
    ORDER_ID = 37
    ORDER_QTY = 38
    ORD_STATUS = 39
    ORD_TYPE = 40
    ORIG_CL_ORD_ID = 41
    POSS_DUP_FLAG = 43
    PRICE = 44
    REF_SEQ_NUM = 45
    SENDER_COMP_ID = 49
    SENDING_TIME = 52
    SIDE = 54
    SYMBOL = 55
    TARGET_COMP_ID = 56
    TEXT = 58
    TIME_IN_FORCE = 59
    TRANSACT_TIME = 60
    TRADE_DATE = 75
    POSITION_EFFECT = 77
    POSS_RESEND = 97
    ENCRYPT_METHOD = 98
    STOP_PX = 99
    CXL_REJ_REASON = 102
    ORD_REJ_REASON = 103
    HEART_BT_INT = 108
    TEST_REQ_ID = 112
    ORIG_SENDING_TIME = 122
    GAP_FILL_FLAG = 123
    RESET_SEQ_NUM_FLAG = 141
    EXEC_TYPE = 150
    REF_TAG_ID = 371
    REF_MSG_TYPE = 372
    SESSION_REJECT_REASON = 373
    BUSINESS_REJECT_REASON = 380
    CXL_REJ_RESPONSE_TO = 434
    USERNAME = 553
    PASSWORD = 554
    ORD_STATUS_REQ_ID = 790


Fields = dict[int, str]
"""Values by tag, in the order of the wire. Of a repeated tag it has the first."""


class BadField(ValueError):
    """A field is missing or has a value that cannot be read."""

    def __init__(self, tag: Tag, value: str | None) -> None:
        what = "is missing" if value is None else f"cannot be {value!r}"
        super().__init__(f"{tag.name} ({tag.value}) {what}")
        self.tag = tag


class Message(msgspec.Struct, frozen=True):
    """A message: of a received one all fields, of one to be sent the body without header.

    `is_possible_resend` marks an order that its venue may have received under another number.
    """

    type: str
    fields: Fields
    is_possible_resend: bool = False

    def get(self, tag: Tag) -> str | None:
        """The value of `tag`; None if the message has none."""
        return self.fields.get(tag)

    def require(self, tag: Tag) -> str:
        """The value of `tag`. Raises BadField if the message has none."""
        value = self.fields.get(tag)
        if value is None:
            raise BadField(tag, None)
        return value

    def integer(self, tag: Tag) -> int:
        """The value of `tag`. Raises BadField if it is missing or no whole number from 0 on."""
        value = self.require(tag)
        if not re.fullmatch(r"[0-9]{1,18}", value):
            raise BadField(tag, value)
        return int(value)

    def decimal(self, tag: Tag) -> Decimal:
        """The value of `tag`. Raises BadField if it is missing or no number."""
        value = self.require(tag)
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise BadField(tag, value) from None
        if not number.is_finite():
            raise BadField(tag, value)
        return number

    def time(self, tag: Tag) -> datetime:
        """The UTC time of `tag`. Raises BadField if it is missing or no time."""
        value = self.require(tag)
        pattern = "%Y%m%d-%H:%M:%S.%f" if "." in value else "%Y%m%d-%H:%M:%S"
        try:
            return datetime.strptime(value, pattern).replace(tzinfo=UTC)
        except ValueError:
            raise BadField(tag, value) from None

    def is_set(self, tag: Tag) -> bool:
        """Whether the flag `tag` is ``Y``."""
        return self.get(tag) == "Y"

    @property
    def sequence(self) -> int:
        """The sequence number. Raises BadField if there is none."""
        return self.integer(Tag.MSG_SEQ_NUM)


def make_message(type_: MsgType, *fields: tuple[Tag, object]) -> Message:
    """A message of `type_` with these fields; those whose value is None are left out."""
    return Message(type_, {tag.value: str(value) for tag, value in fields if value is not None})


def format_time(time: datetime) -> str:
    """`time`, in UTC, as FIX writes it, in milliseconds."""
    return f"{time:%Y%m%d-%H:%M:%S}.{time.microsecond // 1000:03}"


def encode(message: Message, header: Sequence[tuple[Tag, object]]) -> bytes:
    """The wire format of `message` with `header`."""
    encoded = simplefix.FixMessage()
    encoded.append_pair(Tag.BEGIN_STRING, BEGIN_STRING)
    encoded.append_pair(Tag.MSG_TYPE, message.type)
    for tag, value in (*header, *message.fields.items()):
        encoded.append_pair(tag, str(value))
    return bytes(encoded.encode())


def decode(frame: bytes) -> Message:
    """The message in `frame`, one whole message.

    Raises:
        ValueError: a field is not `tag=value`, or the message has no type.
    """
    parser = simplefix.FixParser(allow_empty_values=True)
    parser.append_buffer(frame)
    try:
        parsed = parser.get_message()
    except simplefix.errors.ParsingError as error:
        raise ValueError(str(error)) from error
    if parsed is None or not parsed.message_type:
        raise ValueError("the message has no type")
    fields: Fields = {}
    for tag, value in parsed.pairs:
        fields.setdefault(int(tag), value.decode(errors="replace"))
    return Message(parsed.message_type.decode(errors="replace"), fields)
