"""Reads that are sent more than once: an end of the read leaves no error behind that asyncio
reports."""

import asyncio
import gc
from collections.abc import Callable

import pytest
from nats.aio.msg import Msg

from tapewire.log import Unavailable
from tapewire.log.jetstream.connection import REQUEST_TIMEOUT_SECONDS, NatsConnection
from tapewire.log.jetstream.repeated_reads import READ_SILENCE_SECONDS, read, read_from_leader

pytestmark = pytest.mark.virtual_time

FAILS_AFTER_SECONDS = 3.0


class FailingConnection(NatsConnection):
    """A connection on which each sending of a read fails, or is answered, after its own time."""

    def __init__(self, *sendings: tuple[float, bool]) -> None:
        super().__init__()
        self._sendings = iter(sendings)

    async def request_many(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None,  # noqa: ARG002
        is_last: Callable[[Msg], bool],
        *,
        timeout_seconds: float = 0.0,  # noqa: ARG002
    ) -> list[Msg]:
        seconds, is_answered = next(self._sendings)
        await asyncio.sleep(seconds)
        if not is_answered:
            raise Unavailable("no connection to NATS")
        message = Msg(_client=self.client, subject=subject, data=data)
        is_last(message)
        return [message]


def _collect_reports() -> list[str]:
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reports.append(context["message"])
    )
    return reports


async def test_all_sendings_that_fail_at_once_report_one_error_to_the_caller() -> None:
    reports = _collect_reports()
    sendings = [(FAILS_AFTER_SECONDS - number * READ_SILENCE_SECONDS, False) for number in range(4)]
    with pytest.raises(Unavailable, match="no connection"):
        await read(FailingConnection(*sendings), "a")
    gc.collect()
    assert reports == []


async def test_a_sending_that_fails_as_another_one_is_answered_reports_nothing() -> None:
    reports = _collect_reports()
    connection = FailingConnection(
        (FAILS_AFTER_SECONDS, True),
        *((FAILS_AFTER_SECONDS - number * READ_SILENCE_SECONDS, False) for number in (1, 2, 3)),
    )
    assert (await read(connection, "a")).subject == "a"
    gc.collect()
    assert reports == []


@pytest.mark.parametrize("unanswered", [0, 1, 3, 8])
async def test_a_leader_is_asked_until_there_is_one(unanswered: int) -> None:
    """What was sent before the election of a leader is never answered."""
    began = asyncio.get_running_loop().time()
    connection = FailingConnection(*[(REQUEST_TIMEOUT_SECONDS, False)] * unanswered, (0.0, True))
    assert (await read_from_leader(connection, "a")).subject == "a"
    seconds = asyncio.get_running_loop().time() - began
    assert seconds == pytest.approx(unanswered * READ_SILENCE_SECONDS, abs=0.05)
