"""A NATS connection whose requests fail fast and whose subscriptions are notified of lost messages.

nats-py fails a request on a lost connection only when it times out, and reports lost messages
through callbacks of the whole connection. `NatsConnection` receives all replies in one inbox. It
fails pending requests when the connection is lost (`OutcomeUnknown`), refuses new ones without a
connection (`Unavailable`), and reports each loss to the subscriptions concerned. When a file of its
credentials was replaced, it connects again with the new ones, without failing a request. Start at
`NatsConnection`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import nats
import nats.errors
import structlog
from nats.aio.msg import Msg

from tapewire.log.jetstream.compat import CompatClient, encoded_size, refused_subject
from tapewire.log.jetstream.credential_renewal import CredentialRenewal
from tapewire.log.jetstream.credentials import NatsCredentials, describe_failure, split_servers
from tapewire.log.jetstream.deadlines import run_until
from tapewire.log.jetstream.gap_aware_subscription import GapAwareSubscription
from tapewire.log.jetstream.pending_replies import NotPermitted, PendingReplies
from tapewire.log.jetstream.reply_inbox import ReplyInbox
from tapewire.log.jetstream.response_check import ResponseCheck
from tapewire.log.ports import AppendRejected, OutcomeUnknown, Unavailable

REQUEST_TIMEOUT_SECONDS = 5.0
"""How long a server may take to answer, and from one reply to the next."""
RECONNECT_WAIT_SECONDS = 0.25
CONNECT_TIMEOUT_SECONDS = 1
PING_INTERVAL_SECONDS = 3
"""The server counts as lost when two pings are unanswered at the time of the next one."""
MAX_PENDING_MESSAGES = 1 << 18
MAX_PENDING_BYTES = 64 << 20
"""What one subscription may hold. Beyond that nats-py drops messages, which becomes a gap."""

logger = structlog.get_logger("tapewire.nats")


class NatsConnection:
    """One NATS connection. Open it with `connect`, end it with `close`."""

    def __init__(self, credentials: NatsCredentials | None = None) -> None:
        self.credentials = credentials or NatsCredentials()
        self.client = CompatClient(self.credentials)
        self.subscriptions: set[GapAwareSubscription] = set()
        self.state_listeners: list[Callable[[bool], None]] = []
        self.replies = ReplyInbox()
        self._is_closing = False
        self._closed = asyncio.Event()
        self._reconnected = asyncio.Event()
        self.response_check = ResponseCheck(self.client)
        self.renewal = CredentialRenewal(
            self.client, self.credentials, self.replies.wait_until_idle
        )

    @property
    def is_connected(self) -> bool:
        return self.client.is_connected

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> Msg:
        """Send a request and return the first reply.

        Raises:
            Unavailable: nothing listens, or there is no connection; no service received the
                request. NotPermitted, a kind of it: the server refuses it to this user.
            OutcomeUnknown: the request was sent, but no answer arrived.
            AppendRejected: the request is larger than the server accepts.
        """
        return (
            await self.request_many(
                subject, data, headers, lambda _: True, timeout_seconds=timeout_seconds
            )
        )[0]

    async def request_many(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None,
        is_last: Callable[[Msg], bool],
        *,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> list[Msg]:
        """Send a request and return all replies, up to the one for which `is_last` is true.

        `timeout_seconds` limits the wait for each reply. Raises the errors of `request`.
        """
        await self.renewal.wait()
        pending = PendingReplies(subject, is_last, timeout_seconds)
        with self.replies.receiving(pending) as reply:
            try:
                await self.publish(subject, data, headers, reply=reply)
                async with asyncio.timeout(timeout_seconds) as pending.timeout:
                    await pending.completion
            except TimeoutError:
                self.response_check.start()
                kind = "further answer" if pending.messages else "answer"
                raise OutcomeUnknown(f"no {kind} from {subject} in {timeout_seconds:g} s") from None
        return pending.messages

    async def wait_connected(self, timeout_seconds: float) -> None:
        """Wait until there is a connection. Raises Unavailable after `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not self.client.is_connected:
                    self._reconnected.clear()
                    await self._reconnected.wait()
        except TimeoutError:
            raise Unavailable("no connection to NATS") from None

    async def publish(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None = None,
        *,
        reply: str = "",
    ) -> None:
        """Send a message without waiting for an answer. Raises Unavailable or AppendRejected."""
        await self.renewal.wait()
        if not self.client.is_connected:
            raise Unavailable("no connection to NATS")
        # nats-py checks the size of the payload alone. The server counts the headers too, and
        # closes the connection for good if the message is too large.
        if len(data) + encoded_size(headers) > self.client.max_payload:
            raise AppendRejected(
                f"{len(data)} bytes and their headers are more than the server takes"
            )
        try:
            await self.client.publish(subject, data, reply=reply, headers=headers)
        except nats.errors.MaxPayloadError:
            raise AppendRejected(f"{len(data)} bytes are more than the server takes") from None
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"cannot send to {subject}: {error!r}") from error

    async def flush(self, timeout_seconds: float = 1.0) -> None:
        """Wait until the server has received everything that was sent. Raises Unavailable."""
        try:
            await self.client.flush(timeout=timeout_seconds)  # type: ignore[arg-type]
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"the server does not answer: {error!r}") from error

    async def subscribe(
        self,
        subject: str,
        on_message: Callable[[Msg], Awaitable[None]],
        on_gap: Callable[[str], None],
        *,
        queue: str = "",
    ) -> GapAwareSubscription:
        """Subscribe to `subject`. `on_gap` is called with a reason before any message that follows
        a loss."""
        subscription = GapAwareSubscription(self.client, self.subscriptions, on_gap)
        try:
            subscription.nats_subscription = await self.client.subscribe(
                subject,
                queue=queue,
                cb=on_message,
                pending_msgs_limit=MAX_PENDING_MESSAGES,
                pending_bytes_limit=MAX_PENDING_BYTES,
            )
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"cannot subscribe to {subject}: {error!r}") from error
        self.subscriptions.add(subscription)
        return subscription

    async def close(self) -> None:
        """Send what is pending and close the connection."""
        self._is_closing = True
        await self.renewal.stop()
        self.response_check.stop()
        self.replies.fail_all()
        if self.is_connected:
            try:
                await self.flush()
            except Unavailable:
                logger.warning("nats.closed_with_unsent_messages")
        try:
            await self.client.close()
        except (nats.errors.Error, OSError) as error:
            # nats-py writes pending data to a connection that is lost. Nothing more can be sent.
            logger.warning("nats.closed_with_unsent_messages", error=str(error))

    async def open(self, url: str, name: str, *, wait_seconds: float) -> None:
        """Connect within `wait_seconds`; reconnect without limit from then on.

        Raises:
            Unavailable: no server answered in time; CredentialsRefused, a kind of it: none accepted
                the credentials.
            BadCredentials: the URL is malformed, or a file of the credentials cannot be used.
        """
        self.credentials.check()
        servers = split_servers(url)
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            try:
                # nats-py itself would try without limit, as when it reconnects.
                await run_until(
                    deadline,
                    self.client.connect(
                        servers=random.sample(servers, len(servers)),
                        # A lost server becomes the last one of the list, not a random one.
                        dont_randomize=True,
                        name=name,
                        allow_reconnect=True,
                        max_reconnect_attempts=-1,
                        reconnect_time_wait=RECONNECT_WAIT_SECONDS,  # type: ignore[arg-type]
                        connect_timeout=CONNECT_TIMEOUT_SECONDS,
                        ping_interval=PING_INTERVAL_SECONDS,
                        max_outstanding_pings=2,
                        disconnected_cb=self.on_disconnected,
                        reconnected_cb=self.on_reconnected,
                        closed_cb=self.on_closed,
                        error_cb=self.on_error,
                        **self.client.auth_options(),
                    ),
                )
            except (nats.errors.Error, OSError, TimeoutError) as error:
                if asyncio.get_running_loop().time() >= deadline:
                    raise describe_failure(url, self.client.last_error or error) from error
                await asyncio.sleep(RECONNECT_WAIT_SECONDS)
            else:
                break
        self.replies.subject = self.client.new_inbox()
        await self.client.subscribe(f"{self.replies.subject}.*", cb=self.replies.receive)
        self.renewal.start(url)

    def notify_gap(self, reason: str) -> None:
        for subscription in tuple(self.subscriptions):
            subscription.on_gap(reason)

    async def on_disconnected(self) -> None:
        if self._is_closing:
            return
        logger.warning("nats.disconnected")
        self.replies.fail_all()
        self.notify_gap("disconnected")
        self._notify_state(False)

    async def on_reconnected(self) -> None:
        self.renewal.on_reconnected()
        self._reconnected.set()
        logger.info("nats.reconnected")
        self.notify_gap("reconnected")
        self._notify_state(True)

    async def on_closed(self) -> None:
        self._closed.set()

    async def wait_closed(self) -> None:
        """Wait until nats-py closes the connection for good, which it does without reconnecting
        when the server reports an unknown error. Raises Unavailable unless `close` was called."""
        await self._closed.wait()
        if not self._is_closing:
            raise Unavailable(f"NATS closed the connection for good: {self.client.last_error!r}")

    async def on_error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            for subscription in tuple(self.subscriptions):
                if subscription.nats_subscription is error.sub:
                    subscription.on_gap("slow")
        elif (subject := refused_subject(error)).startswith(("_inbox.", "_r_.")):
            logger.info("nats.reply_expired", subject=subject)  # it was suspended meanwhile
        elif subject:
            logger.warning("nats.permission_denied", subject=subject)
            self.replies.fail(subject, NotPermitted(f"NATS refuses {subject} to this user"))
        elif self.client.is_connected:
            logger.warning("nats.error", error=repr(error))

    def _notify_state(self, connected: bool) -> None:
        for listener in self.state_listeners:
            listener(connected)


async def connect(
    url: str,
    name: str,
    *,
    wait_seconds: float = 30.0,
    credentials: NatsCredentials | None = None,
) -> NatsConnection:
    """Open a connection to the servers of `url` (comma-separated), with `credentials` or those in
    the URL. Raises Unavailable or BadCredentials."""
    connection = NatsConnection(credentials)
    await connection.open(url, name, wait_seconds=wait_seconds)
    return connection
