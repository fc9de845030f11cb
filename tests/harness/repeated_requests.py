"""Requests to services, repeated until they are answered, as the edge repeats them."""

import asyncio
import contextlib
from typing import TypeVar

import msgspec

from tapewire.log import new_id
from tapewire.runtime import RequestClient, RequestTimeout
from tests.harness.waiting import POLL_INTERVAL_SECONDS

ANSWER_TIMEOUT_SECONDS = 120.0

ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)


async def request_until_answered(
    requests: RequestClient,
    service: str,
    verb: str,
    request: msgspec.Struct,
    reply_type: type[ReplyT],
) -> ReplyT:
    """The reply to a request that is repeated under one command id: a process that starts answers a
    little later.

    Raises:
        CommandRejected: the service rejects the request.
        TimeoutError: there is no answer within `ANSWER_TIMEOUT_SECONDS`.
    """
    command_id = new_id()
    async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
        while True:
            with contextlib.suppress(RequestTimeout):
                return await requests.request(
                    service, verb, request, reply_type, correlation="test", command_id=command_id
                )
            # Without a connection the request fails at once; the pause lets other tasks reconnect.
            await asyncio.sleep(POLL_INTERVAL_SECONDS)
