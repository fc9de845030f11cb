"""A lost reply of a page is an error and never causes a gap."""

from typing import Any

import pytest
from nats.aio.msg import Msg

from tapewire.log import Unavailable
from tapewire.log.jetstream import stream_reads

NO_CLIENT: Any = None
"""A message is only read, so it needs no client."""


def make_reply(sequence: int, previous_sequence: int) -> Msg:
    headers = {"Nats-Sequence": str(sequence), "Nats-Last-Sequence": str(previous_sequence)}
    return Msg(_client=NO_CLIENT, data=b"x", headers=headers)


def make_end_of_page(previous_sequence: int, pending: int = 0) -> Msg:
    headers = {
        "Status": "204",
        "Nats-Last-Sequence": str(previous_sequence),
        "Nats-Num-Pending": str(pending),
    }
    return Msg(_client=NO_CLIENT, headers=headers)


class FakeConnection:
    def __init__(self, *replies: Msg) -> None:
        self._replies = list(replies)

    async def request_many(self, *_: Any, **__: Any) -> list[Msg]:
        return self._replies


async def read_page(*replies: Msg) -> stream_reads.StoredMessages:
    connection: Any = FakeConnection(*replies)
    return await stream_reads.read_page(
        connection, "EVENTS", "ev.>", after=0, limit=10, max_bytes=1000
    )


async def test_a_complete_page_is_read() -> None:
    stored = await read_page(make_reply(3, 0), make_reply(7, 3), make_end_of_page(7, pending=2))
    assert (len(stored.messages), stored.remaining) == (2, 2)


@pytest.mark.parametrize(
    "replies",
    [
        [make_reply(7, 3), make_end_of_page(7)],
        [make_reply(3, 0), make_reply(9, 7), make_end_of_page(9)],
        [make_reply(3, 0), make_end_of_page(7)],
        [make_end_of_page(7)],
    ],
    ids=["the first", "one between", "the last", "the only one"],
)
async def test_a_page_with_a_lost_reply_raises_unavailable(replies: list[Msg]) -> None:
    with pytest.raises(Unavailable, match="lost a message"):
        await read_page(*replies)


async def test_an_empty_page_is_read() -> None:
    stored = await read_page(Msg(_client=NO_CLIENT, headers={"Status": "404"}))
    assert (stored.messages, stored.remaining) == ([], 0)
