"""Long-polling of one stream, from one request to the next, until one fails.

It takes the place of a `StreamConnection` when something on the way holds streams back. The answers
have the ids and events of the stream.
"""

import asyncio

import msgspec

from tapewire.sse.protocol.delays import MAX_RETRY_SECONDS
from tapewire.sse.protocol.outcomes import JSON_DOCUMENT, RequestFailed, RequestOutcome
from tapewire.sse.requests import (
    CONNECTION_ERRORS,
    CredentialsOutdated,
    StreamRequestSender,
    failure_of,
    read_refusal,
)
from tapewire.sse.stream_connection import WENT_SILENT, StreamReceiver, wait_for_outcome

POLL_WAIT_SECONDS = 8
"""How long a request waits for an event. Some proxies end requests after ten seconds."""
POLL_TIMEOUT_SECONDS = 7.0
"""A request is given up when its answer is so late."""


class PollAnswerEvent(msgspec.Struct, frozen=True):
    """An event in the answer to a poll."""

    event: str
    data: msgspec.Raw
    id: str | None = None


class PollAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a poll: all events up to the id `last_event_id`."""

    events: list[PollAnswerEvent]
    last_event_id: str | None
    retry: float = 0.0


class PollingConnection:
    """Polls at once, in a task of its own."""

    def __init__(self, sender: StreamRequestSender, receiver: StreamReceiver) -> None:
        self._sender = sender
        self._receiver = receiver
        self._is_aborted = False
        self.is_open = False
        """Whether an answer has arrived."""
        self._task = asyncio.create_task(self._run())

    async def wait(self) -> RequestOutcome:
        """Wait until polling has ended. Raises what a function of the caller raised."""
        return await wait_for_outcome(self._task)

    def abort(self) -> None:
        """Stop; nothing is delivered after this."""
        self._is_aborted = True
        self._task.cancel()

    def release(self) -> None:
        """Do nothing: polls hold nothing back."""

    async def _run(self) -> RequestOutcome:
        wait_seconds = 0  # the first answer tells at once whether the server can be reached
        while True:
            answer = await self._request(wait_seconds)
            if not isinstance(answer, PollAnswer):
                return answer
            self._deliver(answer)
            await self._receiver.wait_for_room()
            await asyncio.sleep(min(max(answer.retry / 1000, 0.0), MAX_RETRY_SECONDS))
            wait_seconds = POLL_WAIT_SECONDS

    async def _request(self, wait_seconds: int) -> PollAnswer | RequestOutcome:
        """Poll, and once more if the credentials were outdated."""
        while True:
            try:
                await self._sender.credentials.prepare()  # the deadline is the server's
            except CONNECTION_ERRORS as error:
                return failure_of(error)
            deadline = asyncio.timeout(wait_seconds + POLL_TIMEOUT_SECONDS)
            try:
                async with deadline:
                    return await self._poll(wait_seconds)
            except CredentialsOutdated:
                continue
            except CONNECTION_ERRORS as error:
                return RequestFailed(WENT_SILENT) if deadline.expired() else failure_of(error)

    async def _poll(self, wait_seconds: int) -> PollAnswer | RequestOutcome:
        async with self._sender.open_poll(self._receiver.position, wait_seconds) as response:
            refusal = await read_refusal(response, JSON_DOCUMENT)
            if refusal is not None:
                return refusal
            return msgspec.json.decode(await response.aread(), type=PollAnswer)

    def _deliver(self, answer: PollAnswer) -> None:
        if not self.is_open:
            self.is_open = True
            self._receiver.receive_open()
        self._receiver.receive_bytes()
        for event in answer.events:
            if not self._is_aborted:
                self._receiver.receive_event(event.event, bytes(event.data).decode(), event.id)
        if answer.last_event_id is not None and not self._is_aborted:
            self._receiver.receive_id(answer.last_event_id)
