"""Requests with many replies: the timeout applies to each reply and not to all of them."""

import asyncio

import pytest
from nats.aio.msg import Msg

from tapewire.log import OutcomeUnknown
from tapewire.log.jetstream.connection import NatsConnection

pytestmark = pytest.mark.virtual_time

SECONDS = 5.0
LAST = b"last"


class SlowConnection(NatsConnection):
    """A connection that delivers one reply after each pause. Sending the request takes
    `send_seconds`; replies that arrive earlier are received during the sending."""

    def __init__(self, *pauses: float, send_seconds: float) -> None:
        super().__init__()
        self._pause_seconds = pauses
        self._send_seconds = send_seconds
        self.answer_task: asyncio.Task[None] | None = None

    async def publish(
        self,
        subject: str,  # noqa: ARG002
        data: bytes,  # noqa: ARG002
        headers: dict[str, str] | None = None,  # noqa: ARG002
        *,
        reply: str = "",
    ) -> None:
        self.answer_task = asyncio.create_task(self._answer(reply))
        await asyncio.sleep(self._send_seconds)

    async def _answer(self, reply: str) -> None:
        for number, pause in enumerate(self._pause_seconds, 1):
            await asyncio.sleep(pause)
            data = LAST if number == len(self._pause_seconds) else b""
            await self.replies.receive(Msg(_client=self.client, subject=reply, data=data))


async def request_many_replies(*pauses: float, send_seconds: float = 0.0) -> int:
    connection = SlowConnection(*pauses, send_seconds=send_seconds)
    try:
        found = await connection.request_many(
            "a", b"", None, lambda one: one.data == LAST, timeout_seconds=SECONDS
        )
    finally:
        if connection.answer_task is not None:
            connection.answer_task.cancel()
    return len(found)


@pytest.mark.parametrize("sending", [0.0, 4.5])
@pytest.mark.parametrize("pauses", [(4.0,) * 20, (0.001,) * 30_000, (4.9, 0.3, 4.9, 0.1), (4.9,)])
async def test_request_many_waits_as_long_as_replies_arrive(
    pauses: tuple[float, ...], sending: float
) -> None:
    assert await request_many_replies(*pauses, send_seconds=sending) == len(pauses)


@pytest.mark.parametrize(
    ("pauses", "expected"),
    [((5.1, 0.1), "no answer from a in 5 s"), ((1.0, 2.0, 5.6), "no further answer from a in 5 s")],
)
async def test_request_many_raises_if_a_reply_does_not_arrive_in_time(
    pauses: tuple[float, ...], expected: str
) -> None:
    with pytest.raises(OutcomeUnknown, match=expected):
        await request_many_replies(*pauses)
