"""Asking services past every fault, under one command id, as a gateway does."""

import asyncio
import functools
import time
from typing import TypeVar

import msgspec

from tapewire.log import LogError, Refusal
from tapewire.runtime import Requests, Unanswered

PATIENCE_SECONDS = 600.0
ANSWER_SECONDS = 3.0
LOOK_SECONDS = 0.03

R = TypeVar("R", bound=msgspec.Struct)


class Asker:
    """One program that asks."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def once(
        self,
        service: str,
        verb: str,
        request: msgspec.Struct,
        reply: type[R],
        command: str,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> R | None:
        """The answer, None when there was none. Raises Refusal."""
        try:
            return await self._requests.ask(
                service,
                verb,
                request,
                reply,
                correlation="day",
                command_id=command,
                seconds=seconds,
            )
        except (Unanswered, LogError):
            return None

    async def insist(
        self,
        service: str,
        verb: str,
        request: msgspec.Struct,
        reply: type[R],
        command: str,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> R:
        """The answer, however many tries of `seconds` it takes. Raises Refusal."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        ask = functools.partial(self.once, service, verb, request, reply, command, seconds=seconds)
        while (answer := await ask()) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{service} did not {verb} in {PATIENCE_SECONDS:g} s")
            await asyncio.sleep(LOOK_SECONDS)
        return answer

    async def ask(
        self, service: str, verb: str, request: msgspec.Struct, reply: type[R], command: str
    ) -> R | Refusal:
        """The answer, or the refusal."""
        try:
            return await self.insist(service, verb, request, reply, command)
        except Refusal as refusal:
            return refusal
