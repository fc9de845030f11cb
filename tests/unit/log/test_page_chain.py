"""A reply lost on its way to a page is an error, never a hole."""

from typing import Any

import pytest
from nats.aio.msg import Msg

from tapewire.log import Unavailable
from tapewire.log.jetstream import fetch


def reply(sequence: int, before: int) -> Msg:
    headers = {"Nats-Sequence": str(sequence), "Nats-Last-Sequence": str(before)}
    return Msg(_client=None, data=b"x", headers=headers)  # type: ignore[arg-type]


def end(before: int, pending: int = 0) -> Msg:
    headers = {
        "Status": "204",
        "Nats-Last-Sequence": str(before),
        "Nats-Num-Pending": str(pending),
    }
    return Msg(_client=None, headers=headers)  # type: ignore[arg-type]


class Replies:
    def __init__(self, *replies: Msg) -> None:
        self._replies = list(replies)

    async def gather(self, *_: Any) -> list[Msg]:
        return self._replies


async def page(*replies: Msg) -> fetch.Stored:
    wire: Any = Replies(*replies)
    return await fetch.page(wire, "EVENTS", "ev.>", after=0, limit=10, max_bytes=1000)


async def test_a_whole_page() -> None:
    stored = await page(reply(3, 0), reply(7, 3), end(7, pending=2))
    assert (len(stored.messages), stored.left) == (2, 2)


@pytest.mark.parametrize(
    "replies",
    [
        [reply(7, 3), end(7)],
        [reply(3, 0), reply(9, 7), end(9)],
        [reply(3, 0), end(7)],
        [end(7)],
    ],
    ids=["the first", "one between", "the last", "the only one"],
)
async def test_a_page_that_lost_a_reply(replies: list[Msg]) -> None:
    with pytest.raises(Unavailable, match="lost a message"):
        await page(*replies)


async def test_nothing_left() -> None:
    stored = await page(Msg(_client=None, headers={"Status": "404"}))  # type: ignore[arg-type]
    assert (stored.messages, stored.left) == ([], 0)
