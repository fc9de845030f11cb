"""A session with its clock in the test's hand, and messages of its venue."""

from datetime import UTC, datetime, timedelta

import structlog

from fix_broker.framing import FrameReader
from fix_broker.messages import Message, MsgType, Tag, encode, make_message
from fix_broker.sequence_numbers import NumberLedger, SequenceNumbers
from fix_broker.session import FixSession
from fix_broker.settings import FixSettings, read_settings
from tapewire.brokers import BrokerContext, BrokerStore
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
ENVIRONMENT = {
    "TAPEWIRE_FIX_PORT": "9876",
    "TAPEWIRE_FIX_SENDER_COMP_ID": "US",
    "TAPEWIRE_FIX_TARGET_COMP_ID": "VENUE",
    "TAPEWIRE_FIX_HEARTBEAT_SECONDS": "10",
}
LOGGER = structlog.get_logger("fix")


def fix_settings(**settings: str) -> FixSettings:
    return read_settings(
        {**ENVIRONMENT, **{f"TAPEWIRE_FIX_{key}": settings[key] for key in settings}}
    )


class Session(FixSession):
    """A session. `seconds` is the time; what it sends is read back from the wire."""

    def __init__(
        self,
        *,
        outgoing: int = 1,
        incoming: int = 1,
        numbers: NumberLedger | None = None,
        **settings: str,
    ) -> None:
        self.seconds = 0.0
        stored = SequenceNumbers(next_outgoing=outgoing, next_incoming=incoming)
        super().__init__(
            fix_settings(**settings),
            numbers or NumberLedger(stored),
            LOGGER,
            clock=lambda: START + timedelta(seconds=self.seconds),
            timer=lambda: self.seconds,
        )

    def sent(self) -> list[str]:
        """What was sent since the last call: type, number and the fields that matter."""
        return [describe(message) for message in FrameReader(LOGGER).feed(self.take_outgoing())]

    def advance(self, seconds: float) -> list[str]:
        """Let time pass, and return what was sent."""
        self.seconds += seconds
        self.tick()
        return self.sent()


def logged_on(**options: int) -> Session:
    """A session after its logon, which was read."""
    session = Session(**options)  # type: ignore[arg-type]
    session.open()
    session.receive(venue_message(MsgType.LOGON, session.numbers.next_incoming))
    session.sent()
    return session


def venue_message(
    type_: MsgType, sequence: int, *fields: tuple[Tag, object], sender: str = "VENUE"
) -> Message:
    header = (
        (Tag.SENDER_COMP_ID, sender),
        (Tag.TARGET_COMP_ID, "US"),
        (Tag.MSG_SEQ_NUM, sequence),
        (Tag.SENDING_TIME, "20131007-13:30:00.000"),
    )
    return make_message(type_, *header, *fields)


def order_message(name: str = "o") -> Message:
    return make_message(MsgType.NEW_ORDER_SINGLE, (Tag.CL_ORD_ID, name))


def to_bytes(message: Message) -> bytes:
    return encode(message, ())


FIELD_NAMES = {
    Tag.POSS_DUP_FLAG: "dup",
    Tag.POSS_RESEND: "resend",
    Tag.GAP_FILL_FLAG: "fill",
    Tag.NEW_SEQ_NO: "new",
    Tag.BEGIN_SEQ_NO: "from",
    Tag.END_SEQ_NO: "to",
    Tag.TEST_REQ_ID: "test",
    Tag.REF_SEQ_NUM: "ref",
    Tag.SESSION_REJECT_REASON: "reason",
    Tag.RESET_SEQ_NUM_FLAG: "reset",
    Tag.CL_ORD_ID: "order",
    Tag.TEXT: "text",
}


def describe(message: Message) -> str:
    """``LOGON 1``; flags that are ``Y`` by their name alone."""
    described = [
        FIELD_NAMES[Tag(tag)] + ("" if value == "Y" else f"={value}")
        for tag, value in message.fields.items()
        if tag in FIELD_NAMES
    ]
    return " ".join([MsgType(message.type).name, str(message.sequence), *described])


def broker_context() -> BrokerContext:
    """The context of a broker whose values are in memory."""
    return BrokerContext(
        name="fix",
        environment=ENVIRONMENT,
        store=BrokerStore(MemoryLatestValueStore(MemoryServer()), "fix", LOGGER),
        logger=LOGGER,
        clock=lambda: START,
        set_problem=lambda _: None,
    )
