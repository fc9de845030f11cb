"""Messages are cut out of the stream whatever its pieces are; damaged ones are dropped alone."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from fix_broker.framing import MAX_BODY_BYTES, FrameReader
from fix_broker.messages import Message, MsgType, Tag, make_message
from tests.unit.fix_broker.builders import LOGGER, to_bytes


def numbered(count: int) -> list[Message]:
    return [
        make_message(MsgType.HEARTBEAT, (Tag.MSG_SEQ_NUM, number), (Tag.TEXT, "8=FIX é 10=000"))
        for number in range(count)
    ]


def numbers(messages: Iterable[Message]) -> list[int]:
    return [message.sequence for message in messages]


@given(st.lists(st.integers(1, 60), min_size=1))
def test_any_pieces_give_the_same_messages(sizes: list[int]) -> None:
    data = b"".join(map(to_bytes, numbered(5)))
    reader, position = FrameReader(LOGGER), 0
    found: list[Message] = []
    while position < len(data):
        size = sizes[position % len(sizes)]
        found += reader.feed(data[position : position + size])
        position += size
    assert numbers(found) == [0, 1, 2, 3, 4]
    assert found[0].get(Tag.TEXT) == "8=FIX é 10=000"


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=3))
def test_a_damaged_message_takes_no_other_with_it(position: int, noise: bytes) -> None:
    """Damage within message 2 loses it and at most the next one, which repairs nothing."""
    before, damaged, after = (b"".join(map(to_bytes, part)) for part in split(numbered(6)))
    position %= len(damaged) - len(noise)
    changed = damaged[:position] + noise + damaged[position + len(noise) :]
    found = numbers(FrameReader(LOGGER).feed(before + changed + after))
    assert found[:2] == [0, 1]
    assert found[-3:] == [3, 4, 5]


def split(messages: list[Message]) -> tuple[list[Message], list[Message], list[Message]]:
    return messages[:2], messages[2:3], messages[3:]


@given(st.binary(max_size=80))
def test_noise_before_a_message_is_skipped(noise: bytes) -> None:
    assert numbers(FrameReader(LOGGER).feed(noise + to_bytes(numbered(1)[0]))) == [0]


def test_a_body_length_beyond_reason_does_not_stop_the_stream() -> None:
    endless = b"8=FIX.4.4\x019=%d\x0135=0\x01" % (MAX_BODY_BYTES + 1)
    assert numbers(FrameReader(LOGGER).feed(endless + to_bytes(numbered(1)[0]))) == [0]


def test_a_message_with_fields_that_are_none_is_dropped() -> None:
    body = b"35=0\x0134\x01"
    head = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
    frame = head + b"10=%03d\x01" % (sum(head) % 256)
    assert numbers(FrameReader(LOGGER).feed(frame + to_bytes(numbered(1)[0]))) == [0]
