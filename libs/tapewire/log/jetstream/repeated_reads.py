"""Reads that any replica answers, sent again when the one that was chosen is silent.

A direct get goes to one of the replicas of a stream. A replica that is suspended is chosen like any
other. A read changes nothing, so it may be sent again while the first one is still waited for.
"""

import asyncio
from collections.abc import Callable

from nats.aio.msg import Msg

from tapewire.log.jetstream.connection import REQUEST_TIMEOUT_SECONDS, NatsConnection
from tapewire.log.ports import OutcomeUnknown, Unavailable

READ_SILENCE_SECONDS = 0.5
"""How long a replica may take to send its first reply before another one is asked too."""
MAX_SENDS = 4
MAX_SENDS_TO_LEADER = int(REQUEST_TIMEOUT_SECONDS / READ_SILENCE_SECONDS)
"""A small request to a leader is sent until the end of the time."""
RECONNECT_WAIT_SECONDS = 1.5
"""How long a read waits for a connection after it was lost."""


async def read(
    connection: NatsConnection, subject: str, data: bytes = b"", *, max_sends: int = MAX_SENDS
) -> Msg:
    """The first reply to a read. Raises Unavailable."""
    return (await read_many(connection, subject, data, lambda _: True, max_sends=max_sends))[0]


async def read_from_leader(connection: NatsConnection, subject: str, data: bytes = b"") -> Msg:
    """The reply of a stream's leader, which may be elected meanwhile: what was sent before that is
    never answered. Raises Unavailable."""
    return await read(connection, subject, data, max_sends=MAX_SENDS_TO_LEADER)


async def read_many(
    connection: NatsConnection,
    subject: str,
    data: bytes,
    is_last: Callable[[Msg], bool],
    *,
    max_sends: int = MAX_SENDS,
) -> list[Msg]:
    """All replies to a read, up to the one for which `is_last` is true. Raises Unavailable."""
    reading = _RepeatedRead(connection, subject, data, is_last, max_sends)
    try:
        return await reading.run()
    except OutcomeUnknown as error:
        raise Unavailable(str(error)) from error
    finally:
        reading.cancel()


class _RepeatedRead:
    """The sendings of one read."""

    def __init__(
        self,
        connection: NatsConnection,
        subject: str,
        data: bytes,
        is_last: Callable[[Msg], bool],
        max_sends: int,
    ) -> None:
        self._connection = connection
        self._max_sends = max_sends
        self._subject = subject
        self._data = data
        self._is_last = is_last
        self._tasks: set[asyncio.Task[list[Msg]]] = set()
        self._ends_at = asyncio.get_running_loop().time() + REQUEST_TIMEOUT_SECONDS
        self._sends = 0
        self._is_answering = False

    async def run(self) -> list[Msg]:
        """The replies to the first sending that is answered. Raises Unavailable, OutcomeUnknown."""
        self._send()
        while True:
            may_send = self._sends < self._max_sends and not self._is_answering
            done, self._tasks = await asyncio.wait(
                self._tasks,
                timeout=READ_SILENCE_SECONDS if may_send else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                if task.exception() is None:
                    return task.result()
            errors = [error for task in done if (error := task.exception()) is not None]
            if errors and not self._tasks:
                await self._recover(errors[0])
            if not done and not self._is_answering:
                self._connection.response_check.start()
                self._send()

    async def _recover(self, error: BaseException) -> None:
        """Send again after the connection was lost, as often as at first, or raise `error`."""
        if not isinstance(error, OutcomeUnknown) or self._seconds_left() <= 0:
            raise error
        await self._connection.wait_connected(min(RECONNECT_WAIT_SECONDS, self._seconds_left()))
        self._sends = 0
        self._send()

    def _send(self) -> None:
        self._sends += 1
        request = self._connection.request_many(
            self._subject,
            self._data,
            None,
            self._observe,
            timeout_seconds=max(self._seconds_left(), READ_SILENCE_SECONDS),
        )
        task = asyncio.create_task(request)
        task.add_done_callback(_retrieve_error)
        self._tasks.add(task)

    def _observe(self, message: Msg) -> bool:
        self._is_answering = True
        return self._is_last(message)

    def _seconds_left(self) -> float:
        return self._ends_at - asyncio.get_running_loop().time()

    def cancel(self) -> None:
        """Wait for no sending any more."""
        for task in self._tasks:
            task.cancel()


def _retrieve_error(task: asyncio.Task[list[Msg]]) -> None:
    """asyncio reports errors that nobody retrieves. A sending may fail after the read has ended."""
    if not task.cancelled():
        task.exception()
