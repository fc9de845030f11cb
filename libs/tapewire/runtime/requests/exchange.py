"""One request and its attempts. Start at `Exchange.run`.

The first attempt goes to the queue group. It is repeated elsewhere, with the same command id and
deadline, in these cases:

- No acknowledgement arrives within `ACK_TIMEOUT_SECONDS`, or no reply within
  `REPLY_SILENCE_SECONDS` of one: a probe finds an instance that responds.
- The service cannot handle the request now and has stored nothing: after a short wait.
- The connection to NATS is lost: after the reconnect.
- An instance rejects the deadline because its clock differs: with the deadline by its clock.
"""

import asyncio
from collections.abc import Callable

import structlog
from nats.aio.msg import Msg

from tapewire.events import CODEC
from tapewire.log import AppendRejected, Unavailable
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.compat import status_code
from tapewire.log.jetstream.pending_replies import NO_RESPONDERS
from tapewire.log.jetstream.request_attempts import RequestAttempts
from tapewire.runtime.requests.instances import RespondingInstances
from tapewire.runtime.requests.messages import (
    ACK_HEADER,
    DEADLINE_HEADER,
    INSTANCE_HEADER,
    LIVE_HEADER,
    TIME_HEADER,
    UNDECIDED_CODES,
    ErrorReply,
    Outcome,
    RequestTimeout,
)

ACK_TIMEOUT_SECONDS = 0.3
"""How long an acknowledgement may take, and the answer to a probe."""
REPLY_SILENCE_SECONDS = 1.0
"""How long an instance may handle a request before another one is asked too."""
RECONNECT_WAIT_SECONDS = 1.5
"""How long a request waits for a connection to NATS."""
RETRY_WAIT_SECONDS = 0.1
"""The wait before a request that could not be handled is sent again; it doubles each time."""
MAX_RETRIES = 2
MAX_ATTEMPTS = 6
MAX_CLOCK_DIFFERENCE_SECONDS = 0.5
"""A larger difference between clocks is corrected for."""

logger = structlog.get_logger("tapewire.requests")


class _Attempt:
    """One sending. `instance` is None for the queue group until that is acknowledged.
    `clock_offset` is what its deadline was corrected by, in seconds."""

    __slots__ = ("clock_offset", "instance", "is_pending", "is_probe")

    def __init__(
        self, instance: str | None, clock_offset: float = 0.0, *, is_probe: bool = False
    ) -> None:
        self.instance = instance
        self.clock_offset = clock_offset
        self.is_probe = is_probe
        self.is_pending = not is_probe


class Exchange:
    """Sends one request until it is answered or its time is over."""

    def __init__(
        self,
        connection: NatsConnection,
        instances: RespondingInstances,
        subject: str,
        data: bytes,
        headers: dict[str, str],
        *,
        timeout_seconds: float,
        wall_clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._instances = instances
        self._subject = subject
        self._data = data
        self._headers = headers
        self._now = asyncio.get_running_loop().time
        self._wall_clock = wall_clock
        self._timeout_seconds = timeout_seconds
        self._ends_at = self._now() + timeout_seconds
        self._wall_deadline = wall_clock() + timeout_seconds
        self._attempts: dict[int, _Attempt] = {}
        self._acknowledged_by: set[str] = set()
        self._next_action_at = 0.0
        self._is_retry_due = False
        self._is_looking_for_instance = False
        self._has_heard_anything = False
        self._retries = 0
        self._outcome = Outcome.NOT_DONE
        self._last_error = "nobody answered"

    async def run(self) -> Msg:
        """The reply: the service's, or a rejection. Raises RequestTimeout."""
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await self._run()
        except TimeoutError:
            reason = f"no answer in {self._timeout_seconds:g} s: {self._last_error}"
            raise self._failure(reason) from None
        except (Unavailable, AppendRejected) as error:
            raise self._failure(str(error)) from error

    async def _run(self) -> Msg:
        with RequestAttempts(self._connection) as attempts:
            await self._send_anew(attempts)
            while True:
                reply = await self._next_reply(attempts)
                if reply is None:
                    await self._act(attempts)
                elif (final := await self._receive(attempts, *reply)) is not None:
                    return final

    async def _next_reply(self, attempts: RequestAttempts) -> tuple[int, Msg | Exception] | None:
        """The next reply; None when something is to be done."""
        try:
            async with asyncio.timeout_at(self._next_action_at):
                return await attempts.next_reply()
        except TimeoutError:
            return None

    def _failure(self, reason: str) -> RequestTimeout:
        is_pending = any(one.is_pending for one in self._attempts.values())
        outcome = Outcome.UNKNOWN if is_pending else self._outcome
        _, service, verb = self._subject.split(".", 2)
        return RequestTimeout(f"{service} does not answer {verb}: {reason}", outcome)

    # What is sent.

    async def _send_anew(self, attempts: RequestAttempts) -> None:
        """Send the request to an instance that responds, or else to the queue group."""
        left = max(self._ends_at - self._now(), 0.0)
        await self._connection.wait_connected(min(RECONNECT_WAIT_SECONDS, left))
        await self._send(attempts, self._instances.next(self._subject, self._now()))

    async def _send(self, attempts: RequestAttempts, instance: str | None) -> None:
        offset = 0.0 if instance is None else self._instances.clock_offset(instance)
        headers = {
            **self._headers,
            ACK_HEADER: "1",
            DEADLINE_HEADER: str(int((self._wall_deadline + offset) * 1000)),
        }
        subject = self._subject if instance is None else f"{self._subject}.{instance}"
        number = await attempts.send(subject, self._data, headers)
        self._attempts[number] = _Attempt(instance, offset)
        self._is_retry_due = self._is_looking_for_instance = False
        self._next_action_at = self._now() + ACK_TIMEOUT_SECONDS

    async def _probe(self, attempts: RequestAttempts) -> None:
        """Ask all instances whether they respond; the first one gets the request."""
        self._instances.begin_detour(self._subject, self._now())
        for attempt in self._attempts.values():
            if attempt.is_pending and attempt.instance is not None:
                self._instances.remove(self._subject, attempt.instance)
        if not self._has_heard_anything:
            self._connection.response_check.start()
        number = await attempts.send(f"{self._subject}.live", b"", {})
        self._attempts[number] = _Attempt(None, is_probe=True)
        self._is_looking_for_instance = True
        self._next_action_at = self._now() + ACK_TIMEOUT_SECONDS

    async def _act(self, attempts: RequestAttempts) -> None:
        """The time for a retry has come, or nothing was heard for too long."""
        if self._is_retry_due:
            await self._send_anew(attempts)
        else:
            await self._probe(attempts)

    # What is received.

    async def _receive(
        self, attempts: RequestAttempts, number: int, reply: Msg | Exception
    ) -> Msg | None:
        """Handle a reply. Returns it if it is final. Raises RequestTimeout."""
        attempt = self._attempts.get(number) or _Attempt(None)
        if isinstance(reply, Exception):
            self._on_connection_lost(reply)
            return None
        headers = reply.headers or {}
        if status_code(reply) == NO_RESPONDERS:
            await self._on_no_responders(attempts, attempt)
            return None
        self._has_heard_anything = True
        if LIVE_HEADER in headers:
            await self._on_live(attempts, headers[LIVE_HEADER])
            return None
        if ACK_HEADER in headers:
            self._on_acknowledged(attempt, headers)
            return None
        code = headers.get("Nats-Service-Error-Code")
        if code not in UNDECIDED_CODES:
            return reply
        attempt.is_pending = False
        error = CODEC.decode(reply.data, ErrorReply)
        await self._on_undecided(attempts, attempt, error, headers)
        return None

    def _on_acknowledged(self, attempt: _Attempt, headers: dict[str, str]) -> None:
        attempt.instance = headers[ACK_HEADER]
        self._acknowledged_by.add(attempt.instance)
        self._instances.add(self._subject, attempt.instance)
        self._is_looking_for_instance = False
        self._next_action_at = self._now() + REPLY_SILENCE_SECONDS

    async def _on_live(self, attempts: RequestAttempts, instance: str) -> None:
        self._instances.add(self._subject, instance)
        if not self._is_looking_for_instance or instance in self._acknowledged_by:
            return
        if sum(not one.is_probe for one in self._attempts.values()) < MAX_ATTEMPTS:
            logger.info("requests.sent_elsewhere", subject=self._subject, instance=instance)
            await self._send(attempts, instance)

    async def _on_no_responders(self, attempts: RequestAttempts, attempt: _Attempt) -> None:
        """Nobody has received the attempt."""
        attempt.is_pending = False
        if attempt.is_probe:
            return
        if attempt.instance is not None:
            self._instances.remove(self._subject, attempt.instance)
            await self._send_anew(attempts)
        elif not any(one.is_pending for one in self._attempts.values()):
            raise self._failure(f"nothing answers at {self._subject}")

    def _on_connection_lost(self, error: Exception) -> None:
        """Send once more after the reconnect. Every attempt and probe reports the loss."""
        self._last_error = str(error)
        if not self._is_retry_due:
            self._is_retry_due = True
            self._next_action_at = self._now()

    async def _on_undecided(
        self,
        attempts: RequestAttempts,
        attempt: _Attempt,
        reply: ErrorReply,
        headers: dict[str, str],
    ) -> None:
        """The service could not handle the request. Raises RequestTimeout if that is final."""
        self._last_error = reply.message
        if reply.outcome is not Outcome.NOT_DONE:
            self._outcome = Outcome.UNKNOWN
        if reply.code == "expired" and self._learn_clock(attempt, headers):
            await self._send(attempts, headers[INSTANCE_HEADER])
            return
        if reply.code == "unavailable" and self._retries < MAX_RETRIES:
            self._is_retry_due = True
            self._next_action_at = self._now() + RETRY_WAIT_SECONDS * 2**self._retries
            self._retries += 1
        elif not any(one.is_pending for one in self._attempts.values()):
            raise self._failure(reply.message)

    def _learn_clock(self, attempt: _Attempt, headers: dict[str, str]) -> bool:
        """Whether the instance's clock differs from what the attempt assumed; remembers it."""
        instance = headers.get(INSTANCE_HEADER)
        if instance is None or TIME_HEADER not in headers:
            return False
        offset = int(headers[TIME_HEADER]) / 1000 - self._wall_clock()
        if abs(offset - attempt.clock_offset) < MAX_CLOCK_DIFFERENCE_SECONDS:
            return False
        if abs(offset - self._instances.clock_offset(instance)) >= MAX_CLOCK_DIFFERENCE_SECONDS:
            logger.warning("requests.clock_differs", instance=instance, seconds=round(offset, 3))
            self._instances.set_clock_offset(instance, offset)
        return True
