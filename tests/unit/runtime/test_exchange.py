"""The attempts of one request, in virtual time, on a connection that the test scripts."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from nats.aio.msg import Msg

from tapewire.events import CODEC
from tapewire.log import Unavailable
from tapewire.log.jetstream.reply_inbox import ReplyInbox
from tapewire.runtime.requests.exchange import MAX_RETRIES, Exchange
from tapewire.runtime.requests.instances import DETOUR_SECONDS, RespondingInstances
from tapewire.runtime.requests.messages import ErrorReply, Outcome, RequestTimeout

pytestmark = pytest.mark.virtual_time

SUBJECT = "svc.orders.place"
TIMEOUT_SECONDS = 2.8
Receive = Callable[["ScriptedConnection", str, dict[str, str], str], Coroutine[Any, Any, None]]


class ScriptedCheck:
    """Counts the checks of the connection."""

    def __init__(self) -> None:
        self.count = 0

    def start(self) -> None:
        self.count += 1


class ScriptedConnection:
    """A connection whose peer is a function of the test. `sent` has the subjects in order."""

    def __init__(self, receive: Receive) -> None:
        self.replies = ReplyInbox()
        self.replies.subject = "_INBOX.x"
        self.response_check = ScriptedCheck()
        self.sent: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.is_connected = True
        self._receive = receive
        self._tasks: set[asyncio.Task[None]] = set()

    async def wait_connected(self, timeout_seconds: float) -> None:
        for _ in range(int(timeout_seconds / 0.1)):
            if self.is_connected:
                return
            await asyncio.sleep(0.1)
        raise Unavailable("no connection to NATS")

    async def publish(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None, *, reply: str = ""
    ) -> None:
        assert data in (b"{}", b"")
        if not self.is_connected:
            raise Unavailable("no connection to NATS")
        self.sent.append(subject.removeprefix(SUBJECT))
        self.headers.append(headers or {})
        task = asyncio.create_task(self._receive(self, subject, headers or {}, reply))
        self._tasks.add(task)

    async def answer(self, reply: str, data: bytes = b"", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        message = Msg(_client=None, subject=reply, data=data, headers=named)  # type: ignore[arg-type]
        await self.replies.receive(message)

    async def refuse(
        self, reply: str, code: str, outcome: Outcome | None = None, **headers: str
    ) -> None:
        body = CODEC.encode(ErrorReply(code=code, message=f"it is {code}", outcome=outcome))
        await self.answer(reply, body, Nats_Service_Error_Code=code, **headers)


async def exchange(
    connection: ScriptedConnection,
    instances: RespondingInstances | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> bytes:
    message = await Exchange(
        connection,  # type: ignore[arg-type]
        instances or RespondingInstances(),
        SUBJECT,
        b"{}",
        {"Tw-Command": "c"},
        timeout_seconds=TIMEOUT_SECONDS,
        wall_clock=wall_clock,
    ).run()
    return message.data


async def failing(connection: ScriptedConnection, **options: Any) -> tuple[Outcome, float]:
    """The outcome of a request that fails, and how long it took."""
    began = asyncio.get_running_loop().time()
    with pytest.raises(RequestTimeout) as caught:
        await exchange(connection, **options)
    return caught.value.outcome, asyncio.get_running_loop().time() - began


async def only_b_responds(
    connection: ScriptedConnection, subject: str, _: dict[str, str], reply: str
) -> None:
    """The queue group has chosen a suspended instance; b responds."""
    if subject.endswith(".live"):
        await connection.answer(reply, Tw_Live="b")
    elif subject.endswith(".b"):
        await connection.answer(reply, Tw_Ack="b")
        await connection.answer(reply, b"done")


async def test_a_silent_queue_group_is_passed_by_for_a_while() -> None:
    connection, instances = ScriptedConnection(only_b_responds), RespondingInstances()
    loop = asyncio.get_running_loop()
    assert await exchange(connection, instances) == b"done"
    assert loop.time() < 0.5
    assert await exchange(connection, instances) == b"done"
    assert connection.sent == ["", ".live", ".b", ".b"]
    await asyncio.sleep(DETOUR_SECONDS + 1)
    assert await exchange(connection, instances) == b"done"
    assert connection.sent[4:] == ["", ".live", ".b"]
    assert {headers.get("Tw-Command", "c") for headers in connection.headers} == {"c"}


async def test_every_attempt_has_the_same_deadline() -> None:
    connection = ScriptedConnection(only_b_responds)
    await exchange(connection, wall_clock=lambda: 1000 + asyncio.get_running_loop().time())
    deadlines = [headers["Tw-Deadline"] for headers in connection.headers if headers]
    assert deadlines == [str(int((1000 + TIMEOUT_SECONDS) * 1000))] * 2


async def test_an_instance_that_acknowledges_and_falls_silent_is_passed_by() -> None:
    async def receive(
        connection: ScriptedConnection, subject: str, _: dict[str, str], reply: str
    ) -> None:
        if subject == SUBJECT:
            await connection.answer(reply, Tw_Ack="a")
        elif subject.endswith(".live"):
            await connection.answer(reply, Tw_Live="a")  # it responds again, and has the request
            await connection.answer(reply, Tw_Live="b")
        else:
            await connection.answer(reply, b"done")

    connection = ScriptedConnection(receive)
    assert await exchange(connection) == b"done"
    assert connection.sent == ["", ".live", ".b"]
    assert asyncio.get_running_loop().time() < 1.5


async def test_a_slow_instance_is_waited_for_if_there_is_no_other() -> None:
    async def receive(
        connection: ScriptedConnection, subject: str, _: dict[str, str], reply: str
    ) -> None:
        if subject.endswith(".live"):
            await connection.answer(reply, Tw_Live="a")
            return
        await connection.answer(reply, Tw_Ack="a")
        await asyncio.sleep(2.5)
        await connection.answer(reply, b"done")

    connection = ScriptedConnection(receive)
    assert await exchange(connection) == b"done"
    assert set(connection.sent) == {"", ".live"}
    assert connection.sent.count("") == 1


async def silence(*_: object) -> None:
    """Nothing is answered."""


async def test_silence_everywhere_ends_in_time_with_an_unknown_outcome() -> None:
    connection = ScriptedConnection(silence)
    outcome, seconds = await failing(connection)
    assert outcome is Outcome.UNKNOWN
    assert seconds == pytest.approx(TIMEOUT_SECONDS)
    assert connection.sent.count("") == 1
    assert connection.response_check.count > 0


async def test_nobody_listening_is_known_at_once() -> None:
    async def receive(
        connection: ScriptedConnection, _: str, __: dict[str, str], reply: str
    ) -> None:
        await connection.answer(reply, Status="503")

    outcome, seconds = await failing(ScriptedConnection(receive))
    assert (outcome, seconds) == (Outcome.NOT_DONE, 0)


@pytest.mark.parametrize("outcome", [Outcome.NOT_DONE, Outcome.UNKNOWN, None])
async def test_a_service_that_cannot_do_it_now_is_asked_again(outcome: Outcome | None) -> None:
    async def receive(
        connection: ScriptedConnection, _: str, __: dict[str, str], reply: str
    ) -> None:
        await connection.refuse(reply, "unavailable", outcome)

    connection = ScriptedConnection(receive)
    known, seconds = await failing(connection)
    assert known is (Outcome.NOT_DONE if outcome is Outcome.NOT_DONE else Outcome.UNKNOWN)
    assert connection.sent == [""] * (MAX_RETRIES + 1)
    assert seconds < 1


async def test_a_service_that_recovers_carries_the_request_out() -> None:
    async def receive(
        connection: ScriptedConnection, _: str, __: dict[str, str], reply: str
    ) -> None:
        if len(connection.sent) == 1:
            await connection.refuse(reply, "unavailable", Outcome.NOT_DONE)
        else:
            await connection.answer(reply, b"done")

    assert await exchange(ScriptedConnection(receive)) == b"done"


async def test_one_refusal_proves_nothing_while_another_attempt_is_unanswered() -> None:
    async def receive(
        connection: ScriptedConnection, subject: str, _: dict[str, str], reply: str
    ) -> None:
        if subject.endswith(".live"):
            await connection.answer(reply, Tw_Live="b")
        elif subject.endswith(".b"):
            await connection.refuse(reply, "expired", Outcome.NOT_DONE)

    outcome, _ = await failing(ScriptedConnection(receive))
    assert outcome is Outcome.UNKNOWN


async def test_a_lost_connection_is_waited_for_and_the_request_sent_again() -> None:
    async def receive(
        connection: ScriptedConnection, _: str, __: dict[str, str], reply: str
    ) -> None:
        if len(connection.sent) > 1:
            await connection.answer(reply, b"done")
            return
        connection.is_connected = False
        connection.replies.fail_all()
        await asyncio.sleep(0.5)
        connection.is_connected = True

    connection = ScriptedConnection(receive)
    assert await exchange(connection) == b"done"
    assert connection.sent == ["", ""]


async def test_a_connection_that_stays_away_leaves_nothing_done() -> None:
    connection = ScriptedConnection(silence)
    connection.is_connected = False
    outcome, seconds = await failing(connection)
    assert outcome is Outcome.NOT_DONE
    assert seconds < TIMEOUT_SECONDS


@pytest.mark.parametrize("ahead", [3600.0, 5.0, -3600.0])
async def test_a_clock_that_differs_is_corrected_for(ahead: float) -> None:
    """The instance's clock is `ahead` of the client's; it refuses what is late by its own."""
    now = asyncio.get_running_loop().time

    async def receive(
        connection: ScriptedConnection, _: str, headers: dict[str, str], reply: str
    ) -> None:
        clock = 1000 + now() + ahead
        if int(headers["Tw-Deadline"]) / 1000 < clock:
            stamp = {"Tw_Instance": "a", "Tw_Time": str(int(clock * 1000))}
            await connection.refuse(reply, "expired", Outcome.NOT_DONE, **stamp)
        else:
            await connection.answer(reply, b"done")

    connection, instances = ScriptedConnection(receive), RespondingInstances()
    for _ in range(2):
        data = await exchange(connection, instances, wall_clock=lambda: 1000 + now())
        assert data == b"done"
    assert connection.sent == (["", ".a"] * 2 if ahead > 0 else [""] * 2)


async def test_an_expired_request_is_not_repeated_for_ever() -> None:
    async def receive(
        connection: ScriptedConnection, _: str, __: dict[str, str], reply: str
    ) -> None:
        stamp = {"Tw_Instance": "a", "Tw_Time": str(int(time.time() * 1000))}
        await connection.refuse(reply, "expired", Outcome.NOT_DONE, **stamp)

    connection = ScriptedConnection(receive)
    outcome, _ = await failing(connection)
    assert outcome is Outcome.NOT_DONE
    assert connection.sent == [""]


async def test_replies_to_an_earlier_request_are_not_mixed_up() -> None:
    """A suspended instance answers when it continues, after its request was given up."""
    late: list[str] = []

    async def receive(
        connection: ScriptedConnection, subject: str, _: dict[str, str], reply: str
    ) -> None:
        if subject.endswith(".live"):
            return
        if not late:
            late.append(reply)
            return
        await connection.answer(late[0], b"old")
        await connection.answer(reply, b"new")

    connection = ScriptedConnection(receive)
    await failing(connection)
    assert await exchange(connection) == b"new"
