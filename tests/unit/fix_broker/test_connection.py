"""A flood of messages leaves the event loop to others."""

import asyncio

from fix_broker.connection import MESSAGES_PER_STEP, FixConnection
from fix_broker.messages import MsgType
from tests.unit.fix_broker.builders import (
    Session,
    broker_context,
    fix_settings,
    to_bytes,
    venue_message,
)

FLOOD = 1000


async def test_a_flood_of_messages_leaves_the_event_loop_to_others() -> None:
    """A long resend once took all of the loop, and the process lost its lease."""
    session, reader = Session(), asyncio.StreamReader(limit=1 << 22)
    session.open()
    reader.feed_data(to_bytes(venue_message(MsgType.LOGON, 1)))
    for number in range(2, FLOOD + 2):
        reader.feed_data(to_bytes(venue_message(MsgType.HEARTBEAT, number)))
    reader.feed_eof()
    reading = asyncio.create_task(
        FixConnection(fix_settings(), broker_context())._read(session, reader, lambda _: None)
    )
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    await reading
    assert session.numbers.next_incoming == FLOOD + 2
    assert turns >= FLOOD // MESSAGES_PER_STEP
