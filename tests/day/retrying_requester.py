"""Repeats each request under one command id until it is answered, as the edge does."""

import asyncio
import functools
import time
from typing import TypeVar

import msgspec

from tapewire.log import CommandRejected, LogError
from tapewire.runtime import RequestClient, RequestTimeout

RETRY_TIMEOUT_SECONDS = 600.0
REPLY_TIMEOUT_SECONDS = 3.0
POLL_INTERVAL_SECONDS = 0.03

ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)


class RetryingRequester:
    """A client whose requests are retried."""

    def __init__(self, requests: RequestClient) -> None:
        self._requests = requests

    async def request_once(
        self,
        service: str,
        verb: str,
        request: msgspec.Struct,
        reply_type: type[ReplyT],
        command_id: str,
        *,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
    ) -> ReplyT | None:
        """Return the reply, or None if there was none. Raises CommandRejected."""
        try:
            return await self._requests.request(
                service,
                verb,
                request,
                reply_type,
                correlation="day",
                command_id=command_id,
                timeout_seconds=timeout_seconds,
            )
        except (RequestTimeout, LogError):
            return None

    async def request_until_answered(
        self,
        service: str,
        verb: str,
        request: msgspec.Struct,
        reply_type: type[ReplyT],
        command_id: str,
        *,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
    ) -> ReplyT:
        """Return the reply, after as many tries as necessary. Raises CommandRejected."""
        deadline = time.monotonic() + RETRY_TIMEOUT_SECONDS
        ask = functools.partial(
            self.request_once,
            service,
            verb,
            request,
            reply_type,
            command_id,
            timeout_seconds=timeout_seconds,
        )
        while (answer := await ask()) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{service} did not {verb} in {RETRY_TIMEOUT_SECONDS:g} s")
            await asyncio.sleep(POLL_INTERVAL_SECONDS)
        return answer

    async def request_or_rejection(
        self,
        service: str,
        verb: str,
        request: msgspec.Struct,
        reply_type: type[ReplyT],
        command_id: str,
    ) -> ReplyT | CommandRejected:
        """Return the reply or the rejection."""
        try:
            return await self.request_until_answered(service, verb, request, reply_type, command_id)
        except CommandRejected as refusal:
            return refusal
