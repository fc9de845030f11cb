"""The session layer: numbers, gaps, resends, heartbeats, and how a session ends."""

import msgspec
import pytest

from fix_broker.messages import Message, MsgType, Tag
from fix_broker.sent_messages import MAX_RESEND_AGE_SECONDS
from fix_broker.sequence_numbers import NumberLedger, SequenceNumbers
from fix_broker.session_events import LogonAnswer, OrdersInDoubt, ReceivedMessage
from tests.unit.fix_broker.builders import (
    Session,
    logged_on,
    order_message,
    venue_message,
)

DUPLICATE = (Tag.POSS_DUP_FLAG, "Y")


def report(sequence: int, *fields: tuple[Tag, object]) -> Message:
    return venue_message(MsgType.EXECUTION_REPORT, sequence, *fields)


def resend_request(sequence: int, first: int, last: int = 0) -> Message:
    fields = ((Tag.BEGIN_SEQ_NO, first), (Tag.END_SEQ_NO, last))
    return venue_message(MsgType.RESEND_REQUEST, sequence, *fields)


def test_a_session_continues_under_its_stored_numbers() -> None:
    session = Session(outgoing=7, incoming=5)
    session.open()
    assert session.sent() == ["LOGON 7"]
    assert session.receive(venue_message(MsgType.LOGON, 5)) == [LogonAnswer()]
    session.send(order_message())
    assert session.sent() == ["NEW_ORDER_SINGLE 8 order=o"]
    assert session.numbers.storable().next_outgoing == 9


def test_a_message_is_stored_as_received_once_all_before_it_were_processed() -> None:
    session = logged_on()
    first, second = (session.receive(report(number))[0] for number in (2, 3))
    assert isinstance(first, ReceivedMessage)
    assert isinstance(second, ReceivedMessage)
    session.numbers.end_processing(second.receipt)
    assert session.numbers.storable().next_incoming == 2
    session.numbers.end_processing(first.receipt)
    assert session.numbers.storable().next_incoming == 4


def test_a_gap_is_asked_for_once_and_what_follows_is_taken_from_the_resend() -> None:
    session = logged_on()
    assert session.receive(report(4)) == session.receive(report(5)) == []
    assert session.sent() == ["RESEND_REQUEST 2 from=2 to=0"]
    fill = ((Tag.GAP_FILL_FLAG, "Y"), (Tag.NEW_SEQ_NO, 4), DUPLICATE)
    assert session.receive(venue_message(MsgType.SEQUENCE_RESET, 2, *fill)) == []
    assert len(session.receive(report(4, DUPLICATE)) + session.receive(report(5, DUPLICATE))) == 2
    assert session.receive(report(5, DUPLICATE)) == []


def test_a_gap_that_stays_is_asked_for_again() -> None:
    session = logged_on()
    session.receive(report(4))
    session.sent()
    session.seconds += 5
    session.receive(report(5))
    assert session.advance(6) == ["HEARTBEAT 3", "RESEND_REQUEST 4 from=2 to=0"]


def test_a_logon_or_a_request_for_a_resend_ahead_of_a_gap_is_answered_at_once() -> None:
    session = Session(outgoing=4)
    session.open()
    session.sent()
    assert session.receive(venue_message(MsgType.LOGON, 9)) == [LogonAnswer()]
    assert session.sent() == ["RESEND_REQUEST 5 from=1 to=0"]
    session.receive(resend_request(10, 1))
    assert session.sent() == ["SEQUENCE_RESET 1 dup fill new=6"]


def test_young_orders_are_sent_again_and_old_ones_are_in_doubt() -> None:
    session = logged_on()
    session.send(order_message("old"))
    session.seconds = MAX_RESEND_AGE_SECONDS - 1
    session.receive(venue_message(MsgType.TEST_REQUEST, 2, (Tag.TEST_REQ_ID, "t")))
    session.send(order_message("young"))
    session.sent()
    assert session.receive(resend_request(3, 1)) == []
    again = ["NEW_ORDER_SINGLE 2 dup order=old", "NEW_ORDER_SINGLE 4 dup order=young"]
    fills = ["SEQUENCE_RESET 1 dup fill new=2", "SEQUENCE_RESET 3 dup fill new=4"]
    assert session.sent() == [fills[0], again[0], fills[1], again[1]]
    session.seconds += 2
    assert session.receive(resend_request(4, 1)) == [OrdersInDoubt()]
    assert session.sent() == ["SEQUENCE_RESET 1 dup fill new=4", again[1]]
    assert session.receive(resend_request(5, 2, 3)) == [OrdersInDoubt()]
    assert session.sent() == ["SEQUENCE_RESET 2 dup fill new=4"]


def test_after_a_restart_nothing_is_sent_again() -> None:
    session = logged_on(outgoing=50, incoming=3)
    session.receive(resend_request(4, 20))
    assert session.sent() == ["SEQUENCE_RESET 20 dup fill new=51"]


def test_a_number_that_is_too_low_ends_the_session_unless_it_is_a_duplicate() -> None:
    session = logged_on(incoming=10)
    assert session.receive(report(4, DUPLICATE)) == []
    assert session.is_logged_on
    session.receive(report(4))
    assert session.sent() == ["LOGOUT 2 text=MsgSeqNum too low, expecting 11 but received 4"]
    assert session.end is not None
    assert session.end.is_fault


@pytest.mark.parametrize("new", [3, 40])
def test_a_reset_skips_what_is_lost_for_good(new: int) -> None:
    session = logged_on()
    session.receive(venue_message(MsgType.SEQUENCE_RESET, 999, (Tag.NEW_SEQ_NO, new)))
    assert len(session.receive(report(new))) == 1
    assert session.sent() == []


def test_a_reset_to_a_lower_number_is_rejected() -> None:
    session = logged_on(incoming=10)
    session.receive(venue_message(MsgType.SEQUENCE_RESET, 11, (Tag.NEW_SEQ_NO, 2)))
    assert session.sent()[0].startswith("REJECT 2 ref=11 reason=5")
    assert session.numbers.next_incoming == 11


def test_both_sides_begin_anew_when_the_venue_says_so() -> None:
    session = Session(outgoing=70, incoming=80)
    session.open()
    session.receive(venue_message(MsgType.LOGON, 1, (Tag.RESET_SEQ_NUM_FLAG, "Y")))
    session.sent()
    session.send(order_message())
    assert session.sent() == ["NEW_ORDER_SINGLE 2 order=o"]
    assert len(session.receive(report(2))) == 1


def test_both_sides_begin_anew_when_the_setting_says_so() -> None:
    session = Session(outgoing=70, incoming=80, RESET_ON_LOGON="true")
    session.open()
    assert session.sent() == ["LOGON 1 reset"]
    session.receive(venue_message(MsgType.LOGON, 1, (Tag.RESET_SEQ_NUM_FLAG, "Y")))
    assert (session.numbers.next_outgoing, session.numbers.next_incoming) == (2, 2)


def test_both_sides_begin_anew_at_the_first_logon_of_a_trading_day() -> None:
    session = Session(outgoing=70, incoming=80, DAY_START="22:00")
    session.open()
    assert session.sent() == ["LOGON 1 reset"]
    session.disconnect("before the answer")
    session.open()
    assert session.sent() == ["LOGON 1 reset"]
    session.receive(venue_message(MsgType.LOGON, 1, (Tag.RESET_SEQ_NUM_FLAG, "Y")))
    assert session.numbers.storable().day == "2013-10-06"
    session.disconnect("the venue is away")
    session.open()
    assert session.sent() == ["LOGON 2"]
    session.receive(venue_message(MsgType.LOGON, 2))
    session.seconds = 24 * 3600
    session.disconnect("the day is over")
    session.open()
    assert session.sent() == ["LOGON 1 reset"]
    session.receive(venue_message(MsgType.LOGON, 1, (Tag.RESET_SEQ_NUM_FLAG, "Y")))
    assert (session.numbers.next_outgoing, session.numbers.next_incoming) == (2, 2)
    assert session.numbers.storable().day == "2013-10-07"


def test_the_day_of_stored_numbers_outlives_the_process() -> None:
    stored = SequenceNumbers(next_outgoing=7, next_incoming=5, day="2013-10-07")
    numbers = NumberLedger(msgspec.json.decode(msgspec.json.encode(stored), type=SequenceNumbers))
    session = Session(numbers=numbers, DAY_START="00:00")
    session.open()
    assert session.sent() == ["LOGON 7"]


def test_silence_is_answered_by_a_test_request_and_then_by_the_end() -> None:
    session = logged_on()
    assert session.advance(10) == ["HEARTBEAT 2"]
    assert session.advance(3)[0].startswith("TEST_REQUEST 3 test=")
    session.receive(venue_message(MsgType.HEARTBEAT, 2, (Tag.TEST_REQ_ID, "t")))
    assert [line.split()[0] for line in session.advance(12.5)] == ["TEST_REQUEST"]
    assert session.is_logged_on
    session.advance(12)
    assert session.end is not None
    assert "silent for" in session.end.reason


def test_a_test_request_is_answered_with_its_id() -> None:
    session = logged_on()
    session.receive(venue_message(MsgType.TEST_REQUEST, 2, (Tag.TEST_REQ_ID, "abc")))
    assert session.sent() == ["HEARTBEAT 2 test=abc"]


def test_a_venue_that_does_not_answer_the_logon_is_left() -> None:
    session = Session()
    session.open()
    session.advance(11)
    assert session.end is not None
    assert session.end.reason == "the venue does not answer the logon"


@pytest.mark.parametrize("first", [MsgType.HEARTBEAT, MsgType.EXECUTION_REPORT])
def test_what_comes_before_the_logon_ends_the_connection(first: MsgType) -> None:
    session = Session()
    session.open()
    assert session.receive(venue_message(first, 1)) == []
    assert session.end is not None
    assert not session.end.is_fault


def test_a_venue_that_refuses_the_logon_is_a_fault_with_its_words() -> None:
    session = Session()
    session.open()
    session.receive(venue_message(MsgType.LOGOUT, 1, (Tag.TEXT, "unknown CompID")))
    assert session.end is not None
    assert (session.end.reason, session.end.is_fault) == (
        "the venue ended the session: unknown CompID",
        True,
    )


def test_a_message_of_another_party_is_rejected_and_ends_the_session() -> None:
    session = logged_on()
    session.receive(venue_message(MsgType.HEARTBEAT, 2, sender="STRANGER"))
    assert session.sent() == [
        "REJECT 2 ref=2 reason=9",
        "LOGOUT 3 text=SENDER_COMP_ID is 'STRANGER', not 'VENUE'",
    ]
    assert session.end is not None


def test_a_message_without_a_number_ends_the_session() -> None:
    session = logged_on()
    message = venue_message(MsgType.HEARTBEAT, 2)
    del message.fields[Tag.MSG_SEQ_NUM]
    session.receive(message)
    assert session.end is not None
    assert session.end.reason == "MSG_SEQ_NUM (34) is missing"


def test_a_reject_comes_with_what_it_rejects() -> None:
    session = logged_on()
    session.send(order_message())
    [event] = session.receive(venue_message(MsgType.REJECT, 2, (Tag.REF_SEQ_NUM, 2)))
    assert isinstance(event, ReceivedMessage)
    assert event.rejected == order_message()


def test_both_sides_log_out() -> None:
    session = logged_on()
    session.log_out("enough")
    assert session.sent() == ["LOGOUT 2 text=enough"]
    session.receive(venue_message(MsgType.LOGOUT, 2))
    assert session.sent() == []
    assert session.end is not None
    assert not session.end.is_fault
