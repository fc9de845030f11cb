"""What is sent and reported on an order, by what Tapewire wants and the venue says."""

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from fix_broker import FixBroker
from fix_broker.connection import FixConnection
from fix_broker.execution_reports import read_execution_report
from fix_broker.messages import BadField, Fields, Message, MsgType, Tag, make_message
from fix_broker.order_reporter import OrderReporter
from fix_broker.session_events import ReceivedMessage
from fix_broker.venue_order import VenueOrder
from tapewire.brokers import BrokerReports, OpenOrder
from tapewire.events import (
    NO_FEE,
    Order,
    OrderStatus,
    OrderTerms,
    ReportedCorrection,
    ReportedExecution,
    TimeInForce,
    WaitingReason,
)
from tests.harness.order_builders import open_order
from tests.unit.fix_broker.builders import LOGGER, START, broker_context

MAX_AGE = timedelta(seconds=60)
NOW = START + timedelta(hours=1)


class RecordedReports(BrokerReports):
    """Notes what is reported, and returns the order as it then is."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _note(self, line: str, order: OpenOrder, status: OrderStatus) -> OpenOrder:
        self.lines.append(line)
        after = msgspec.structs.replace(order.order, status=status, replacement=None)
        return msgspec.structs.replace(order, order=after, sequence=order.sequence + 1)

    async def accepted(self, order: OpenOrder, venue_order_id: str | None = None) -> OpenOrder:
        self.lines.append(f"accepted as {venue_order_id}")
        return order

    async def rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        return self._note(f"rejected: {reason}", order, OrderStatus.REJECTED)

    async def failed(self, order: OpenOrder, reason: str) -> OpenOrder:
        return self._note(f"failed: {reason}", order, OrderStatus.FAILED)

    async def canceled(self, order: OpenOrder, reason: str) -> OpenOrder:
        return self._note(f"canceled: {reason}", order, OrderStatus.CANCELED)

    async def cancel_rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        return self._note(f"not canceled: {reason}", order, OrderStatus.NEW)

    async def replaced(self, order: OpenOrder, terms: OrderTerms | None = None) -> OpenOrder:
        qty = "" if terms is None else f" to {terms.qty}"
        return self._note(f"replaced{qty}", order, OrderStatus.NEW)

    async def replace_rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        return self._note(f"not replaced: {reason}", order, OrderStatus.NEW)

    async def triggered(self, order: OpenOrder) -> OpenOrder:
        return self._note("triggered", order, order.order.status)

    async def waiting(self, order: OpenOrder, waiting: WaitingReason | None) -> OpenOrder:
        raise NotImplementedError

    async def propose_fill(self, order: OpenOrder, **_: object) -> OpenOrder:
        raise NotImplementedError

    async def executed(self, execution: ReportedExecution) -> Order | None:
        self.lines.append(f"executed {execution.execution_id} {execution.qty}")
        return None

    async def execution_corrected(self, correction: ReportedCorrection) -> Order | None:
        self.lines.append(f"corrected {correction.execution_id}")
        return None


class Conversation:
    """One order between Tapewire and a venue."""

    def __init__(
        self, *, is_new: bool = True, is_accepted: bool = False, placed_at: datetime | None = NOW
    ) -> None:
        order = open_order("10", limit="100", is_accepted=is_accepted)
        order = msgspec.structs.replace(order, placed_at=placed_at)
        self.order = VenueOrder(order, None, lambda: NOW, is_new=is_new)
        self.reports = RecordedReports()

    def sent(self) -> list[str]:
        """What is sent now: type, ClOrdID and the ClOrdID that it refers to."""
        messages = []
        while (message := self.order.next_message()) is not None:
            ids = [message.get(Tag.CL_ORD_ID), message.get(Tag.ORIG_CL_ORD_ID)]
            again = ["again"] if message.is_possible_resend else []
            messages.append(" ".join([MsgType(message.type).name, *filter(None, ids), *again]))
        return messages

    def want(self, status: OrderStatus, qty: int | None = None) -> None:
        """Tapewire wants a cancel or a replacement."""
        latest = self.order.latest
        terms = (
            OrderTerms(qty=Decimal(qty), limit_price=Decimal(100), stop_price=None) if qty else None
        )
        after = msgspec.structs.replace(latest.order, status=status, replacement=terms)
        self.order.update(
            msgspec.structs.replace(latest, order=after, sequence=latest.sequence + 1)
        )

    async def receive(
        self, type_: MsgType, fields: Fields, rejected: Message | None = None
    ) -> list[str]:
        """What is reported after a message of the venue."""
        self.reports.lines.clear()
        reporter = OrderReporter(LOGGER, lambda: NOW, self.reports, MAX_AGE)
        message = Message(type_, {int(tag): value for tag, value in fields.items()})
        await reporter.handle(self.order, ReceivedMessage(message, 0, rejected))
        return self.reports.lines

    async def report(self, exec_type: str, status: str, **fields: str) -> list[str]:
        tags = {Tag[name]: value for name, value in fields.items()}
        return await self.receive(MsgType.EXECUTION_REPORT, report_fields(exec_type, status) | tags)


def report_fields(exec_type: str, status: str) -> Fields:
    return {
        Tag.CL_ORD_ID: "o1",
        Tag.ORDER_ID: "V1",
        Tag.EXEC_ID: "E1",
        Tag.EXEC_TYPE: exec_type,
        Tag.ORD_STATUS: status,
        Tag.CUM_QTY: "0",
        Tag.TRANSACT_TIME: "20131007-23:59:59.999",
    }


def refusal(request_id: str) -> Fields:
    return {Tag.CL_ORD_ID: request_id, Tag.TEXT: "too late", Tag.CXL_REJ_REASON: "0"}


async def test_a_new_order_is_sent_at_once_and_a_known_one_is_asked_for() -> None:
    assert Conversation().sent() == ["NEW_ORDER_SINGLE o1"]
    assert Conversation(is_new=False).sent() == ["ORDER_STATUS_REQUEST o1"]


async def test_an_order_that_the_venue_does_not_know_is_sent_again() -> None:
    order = Conversation(is_new=False)
    order.sent()
    assert await order.report("I", "8", ORD_REJ_REASON="5") == []
    assert order.sent() == ["NEW_ORDER_SINGLE o1 again"]


@pytest.mark.parametrize(
    ("is_accepted", "age_seconds", "is_canceled", "line"),
    [
        (False, 61, False, "rejected: the venue did not receive it in time"),
        (False, 1, True, "canceled: canceled before the venue received it"),
        (True, 1, False, "failed: the venue does not know the order any more"),
    ],
)
async def test_an_order_that_the_venue_does_not_know_is_not_sent_again_if(
    is_accepted: bool, age_seconds: int, is_canceled: bool, line: str
) -> None:
    placed_at = NOW - timedelta(seconds=age_seconds)
    order = Conversation(is_new=False, is_accepted=is_accepted, placed_at=placed_at)
    order.sent()
    if is_canceled:
        order.want(OrderStatus.PENDING_CANCEL)
    assert await order.report("I", "8", ORD_REJ_REASON="5") == [line]
    assert order.sent() == []
    assert order.order.is_done


@pytest.mark.parametrize(
    ("exec_type", "status", "ends"),
    [("H", "4", True), ("G", "C", True), ("H", "1", False), ("H", "0", False), ("G", "2", False)],
)
async def test_a_correction_that_ends_the_order_at_the_venue_ends_it_here(
    exec_type: str, status: str, ends: bool
) -> None:
    order = Conversation(is_accepted=True)
    order.sent()
    order.want(OrderStatus.PENDING_REPLACE, qty=20)
    terms = {"EXEC_REF_ID": "E0", "LAST_QTY": "4", "LAST_PX": "100"}
    corrected, *ended = await order.report(exec_type, status, **terms)
    assert corrected == "corrected 20131007:E0"
    assert [line.partition(":")[0] for line in ended] == (["canceled"] if ends else [])
    assert order.order.is_done is ends


def test_a_replacement_repeats_what_stays_as_it_is() -> None:
    limit = open_order("10", limit="100", is_accepted=True)
    terms = OrderTerms(qty=Decimal(20), limit_price=Decimal(99), stop_price=None)
    asking = msgspec.structs.replace(
        limit.order, replacement=terms, reduce_only=True, time_in_force=TimeInForce.DAY
    )
    order = VenueOrder(
        msgspec.structs.replace(limit, order=asking), "A-1", lambda: NOW, is_new=False
    )
    order.assume_received()
    message = order.next_message()
    assert message is not None
    tags = (Tag.ORDER_QTY, Tag.PRICE, Tag.ACCOUNT, Tag.POSITION_EFFECT, Tag.TIME_IN_FORCE)
    assert [message.get(tag) for tag in tags] == ["20", "99", "A-1", "C", "0"]


async def test_an_answer_to_an_earlier_question_says_nothing() -> None:
    order = Conversation(is_new=False)
    order.sent()
    assert await order.report("I", "8", ORD_REJ_REASON="5", ORD_STATUS_REQ_ID="o1-s1") == []
    assert order.sent() == []


async def test_one_request_is_open_at_a_time_and_refers_to_the_last_accepted_id() -> None:
    order = Conversation(is_accepted=True)
    order.sent()
    order.want(OrderStatus.PENDING_REPLACE, qty=20)
    assert order.sent() == ["ORDER_CANCEL_REPLACE_REQUEST o1-r2 o1"]
    order.want(OrderStatus.PENDING_CANCEL, qty=20)
    assert order.sent() == []
    assert await order.report("5", "0", CL_ORD_ID="o1-r2", ORDER_QTY="20") == ["replaced to 20"]
    order.want(OrderStatus.PENDING_CANCEL)
    [cancel] = order.sent()
    assert cancel.endswith(" o1-r2")


async def test_after_a_lost_connection_only_what_the_venue_has_not_is_asked_for_again() -> None:
    order = Conversation(is_accepted=True)
    order.sent()
    order.want(OrderStatus.PENDING_REPLACE, qty=20)
    order.sent()
    order.order.doubt()
    assert order.sent() == ["ORDER_STATUS_REQUEST o1"]
    pending = {"CL_ORD_ID": "o1-r2", "ORIG_CL_ORD_ID": "o1"}
    await order.report("I", "E", **pending)
    assert order.sent() == []
    order.order.doubt()
    order.sent()
    done = {"CL_ORD_ID": "o1-r2", "ORDER_QTY": "20", "PRICE": "100"}
    assert await order.report("I", "0", **done) == ["accepted as V1", "replaced"]
    order.want(OrderStatus.PENDING_CANCEL)
    assert [line.split()[-1] for line in order.sent()] == ["o1-r2"]


async def test_a_refusal_is_reported_once_for_the_request_that_it_names() -> None:
    order = Conversation(is_accepted=True)
    order.sent()
    order.want(OrderStatus.PENDING_CANCEL)
    order.sent()
    assert await order.receive(MsgType.ORDER_CANCEL_REJECT, refusal("o1-c1")) == []
    rejected = await order.receive(MsgType.ORDER_CANCEL_REJECT, refusal("o1-c2"))
    assert rejected == ["not canceled: too late"]
    assert await order.receive(MsgType.ORDER_CANCEL_REJECT, refusal("o1-c2")) == []


async def test_a_request_is_not_repeated_while_its_answer_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fill was stored meanwhile, and the order still asked for the terms that were refused."""
    sent: list[Message] = []
    monkeypatch.setattr(FixConnection, "is_logged_on", True)
    monkeypatch.setattr(FixConnection, "send", lambda _, message: sent.append(message))
    broker = FixBroker(broker_context())
    asks = open_order("10", limit="100", is_accepted=False)
    broker.add_order(asks)
    terms = OrderTerms(qty=Decimal(20), limit_price=Decimal(100), stop_price=None)
    asking = msgspec.structs.replace(
        asks.order, status=OrderStatus.PENDING_REPLACE, replacement=terms
    )
    broker.update_order(msgspec.structs.replace(asks, order=asking, sequence=2))

    class SlowReports(RecordedReports):
        async def replace_rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
            filled = msgspec.structs.replace(asking, filled_qty=Decimal(10))
            broker.update_order(msgspec.structs.replace(asks, order=filled, sequence=3))
            after = msgspec.structs.replace(order, sequence=4)
            return self._note(f"not replaced: {reason}", after, OrderStatus.FILLED)

    reporter = OrderReporter(LOGGER, lambda: NOW, SlowReports(), MAX_AGE)
    fields = {int(tag): value for tag, value in refusal("o1-r2").items()}
    received = ReceivedMessage(Message(MsgType.ORDER_CANCEL_REJECT, fields), 0)
    await broker._process(reporter, "o1", received)
    assert [message.type for message in sent] == ["D", "G"]


async def test_an_order_that_tapewire_closed_by_itself_is_canceled_at_the_venue() -> None:
    order = Conversation(is_accepted=True)
    order.sent()
    order.want(OrderStatus.FAILED)
    assert order.sent() == ["ORDER_CANCEL_REQUEST o1-c2 o1"]
    assert await order.receive(MsgType.ORDER_CANCEL_REJECT, refusal("o1-c2")) == []
    assert order.sent() == []
    assert order.order.is_done


async def test_nothing_is_sent_on_an_order_that_is_filled() -> None:
    order = Conversation(is_accepted=True)
    order.sent()
    order.want(OrderStatus.FILLED)
    assert order.sent() == []
    assert order.order.is_done


@pytest.mark.parametrize("type_", [MsgType.REJECT, MsgType.BUSINESS_MESSAGE_REJECT])
async def test_an_order_that_the_venue_cannot_read_is_rejected(type_: MsgType) -> None:
    order = Conversation()
    [message] = [order.order.next_message()]
    lines = await order.receive(type_, {Tag.TEXT: "no such symbol"}, message)
    assert lines == ["rejected: no such symbol"]


async def test_a_venue_without_status_requests_is_sent_the_order_again() -> None:
    order = Conversation(is_new=False)
    [question] = [order.order.next_message()]
    assert await order.receive(MsgType.BUSINESS_MESSAGE_REJECT, {}, question) == []
    assert order.sent() == ["NEW_ORDER_SINGLE o1 again"]
    accepted = Conversation(is_new=False, is_accepted=True)
    [question] = [accepted.order.next_message()]
    assert await accepted.receive(MsgType.BUSINESS_MESSAGE_REJECT, {}, question) == []
    assert accepted.sent() == []


async def test_an_order_that_was_received_twice_is_not_rejected() -> None:
    order = Conversation()
    order.sent()
    assert await order.report("8", "8", ORD_REJ_REASON="6") == []
    assert await order.report("8", "8", ORD_REJ_REASON="1") == ["rejected: the venue rejected it"]


async def test_a_triggered_stop_is_reported() -> None:
    assert await Conversation().report("L", "0") == ["triggered"]


async def test_an_order_that_waits_for_the_venue_is_not_accepted() -> None:
    order = Conversation(is_new=False)
    order.sent()
    assert await order.report("I", "A") == []
    assert await order.report("A", "A") == []
    assert await order.report("0", "0") == ["accepted as V1"]


@pytest.mark.parametrize(
    ("fields", "execution_id"),
    [
        ({}, "20131007:E1"),
        ({"TRADE_DATE": "20131008"}, "20131008:E1"),
        ({"EXEC_ID": "E2"}, "20131007:E2"),
    ],
)
async def test_an_execution_is_named_by_its_day_and_its_id(
    fields: dict[str, str], execution_id: str
) -> None:
    lines = await Conversation().report("F", "1", LAST_QTY="3", LAST_PX="99.5", **fields)
    assert lines == [f"executed {execution_id} 3"]
    lines = await Conversation().report("H", "1", EXEC_REF_ID="E0", TRADE_DATE="20131008")
    assert lines == ["corrected 20131008:E0"]


@pytest.mark.parametrize(
    ("commission", "fee"),
    [
        ({}, NO_FEE),
        ({Tag.COMMISSION: "0", Tag.COMM_TYPE: "1"}, NO_FEE),
        ({Tag.COMMISSION: "0.01", Tag.COMM_TYPE: "1"}, Decimal("0.03")),
        ({Tag.COMMISSION: "2", Tag.COMM_TYPE: "2"}, Decimal("5.97")),
        ({Tag.COMMISSION: "-1.5", Tag.COMM_TYPE: "3"}, Decimal("-1.5")),
    ],
)
def test_a_commission_is_a_fee(commission: Fields, fee: Decimal) -> None:
    fields = report_fields("F", "1") | {Tag.LAST_QTY: "3", Tag.LAST_PX: "99.5"} | commission
    execution = read_execution_report(make_message(MsgType.EXECUTION_REPORT, *items(fields)))
    assert execution.execution("alice").fee == fee


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (Tag.LAST_QTY, "many"),
        (Tag.LAST_PX, "NaN"),
        (Tag.EXEC_TYPE, "?"),
        (Tag.ORD_STATUS, ""),
        (Tag.TRANSACT_TIME, "yesterday"),
    ],
)
async def test_a_report_that_cannot_be_read_names_the_field(tag: Tag, value: str) -> None:
    fields = report_fields("F", "1") | {Tag.LAST_QTY: "3", Tag.LAST_PX: "99.5"} | {tag: value}
    with pytest.raises(
        BadField, match=f"{tag.name} .{tag.value}. cannot be {value!r}".replace("?", ".")
    ):
        await Conversation().receive(MsgType.EXECUTION_REPORT, fields)


def items(fields: Fields) -> list[tuple[Tag, object]]:
    return [(Tag(tag), value) for tag, value in fields.items()]
