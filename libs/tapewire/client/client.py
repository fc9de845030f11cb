"""The client of the event log: publishes events, subscribes to them and sends requests.

    async with tapewire.connect("nats://127.0.0.1:4222", "my-desk") as client:
        await client.strategy_started(user="alice", strategy_id="s-1", symbol="IBM")

`trading_events` and `items` have the calls for those. `publishing` stores an event with retries,
and `propagation` carries correlation ids and traces from a handled event to its handler's calls.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import structlog

from tapewire.client import propagation, validation
from tapewire.client.clock_limit import ClockLimit
from tapewire.client.errors import InvalidArgument, ReservedEventType
from tapewire.client.items import ItemPublisher
from tapewire.client.publishing import Receipt, publish, retry_until_answered
from tapewire.client.trading_events import TradingEventPublisher
from tapewire.events import CODEC, Delivery, Event, PriceUpdated
from tapewire.log import (
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    LatestValueStore,
    RecordedEvent,
    Subscription,
    ValueKey,
    encode_token,
    new_id,
)
from tapewire.log.backoff import Backoff, new_rng
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts import ServiceCall, notifications

DEFAULT_RETRY_SECONDS = 20.0
"""How long a call is retried by default."""
DEFAULT_REPLY_TIMEOUT_SECONDS = 5.0
PLATFORM_PACKAGE = "tapewire"
WRITABLE_DOMAINS = frozenset({"reports", "decisions", "alerts"})
"""Tapewire's domains that every program may write to. No service decides on their events."""

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

logger = structlog.get_logger("tapewire.client")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Client(TradingEventPublisher, ItemPublisher):
    """Create it with `connect`. All calls may be used by several tasks concurrently."""

    def __init__(
        self,
        source: str,
        *,
        log: EventLog,
        quotes: LatestValueStore,
        declared_values: LatestValueStore,
        requests: RequestClient,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
        clock: Callable[[], datetime] = utc_now,
        clock_limit: ClockLimit | None = None,
    ) -> None:
        self.source = source
        self._clock = clock
        self.clock_limit = clock_limit or ClockLimit()
        self._log = log
        self._quotes = quotes
        self._declared_values = declared_values
        self._requests = requests
        self._retry_seconds = retry_seconds
        self._subscriptions: list[Subscription] = []

    async def publish(
        self,
        event: Event,
        *,
        owner: str,
        entity: str,
        event_id: str | None = None,
        expected_sequence: int | None = None,
        once: bool = False,
    ) -> Receipt:
        """Append `event`, of a type that your package declares, to `entity` of `owner`.

        Args:
            owner: A user, or `tapewire.EVERYBODY`.
            event_id: The id of the event. A repeated call with the same id stores it once, within
                two minutes.
            expected_sequence: The sequence of the entity's last event, 0 for none.
            once: The event is the only one of its entity. A repeated call with the same `event_id`
                stores it once, at any time.

        Raises:
            InvalidArgument: The type has no domain or is newest-wins, a field does not fit its
                type, or an argument is malformed.
            ReservedEventType: Only a service of Tapewire writes this type.
            Conflict: The entity has another last event than expected.
            AppendRejected: The log rejects the event.
            PublishTimeout: The log did not answer in time.
        """
        kind = validation.validate_event("event", event)
        if kind.delivery is Delivery.NEWEST_WINS:
            raise InvalidArgument("event", kind.name, "is a newest-wins value: use put()")
        if kind.domain is None:
            raise InvalidArgument(
                "event", kind.name, "was declared without a domain: @event(…, domain=…)"
            )
        if kind.package == PLATFORM_PACKAGE and kind.domain not in WRITABLE_DOMAINS:
            raise ReservedEventType(
                "event", kind.name, f"its service writes {kind.domain}: ask that"
            )
        if once and expected_sequence not in (None, 0):
            raise InvalidArgument(
                "expected_sequence", expected_sequence, "once means that the entity has no event"
            )
        id_ = self._resolve_id(event_id)
        return await self._append(
            EventSubject(
                validation.validate_name("owner", owner),
                kind.domain,
                validation.validate_name("entity", entity),
            ),
            event,
            id_,
            0 if once else expected_sequence,
        )

    async def put(self, value: Event, *, owner: str, entity: str) -> None:
        """Store `value`, of a newest-wins type that your package declares, for `entity` of `owner`.

        Raises:
            InvalidArgument: The type is not newest-wins, a field does not fit its type, or an
                argument is malformed.
            ReservedEventType: Tapewire writes this type itself.
            AppendRejected: The log rejects the value.
            PublishTimeout: The log did not answer in time.
        """
        kind = validation.validate_event("value", value)
        if kind.delivery is not Delivery.NEWEST_WINS:
            raise InvalidArgument("value", kind.name, "is an event: use publish()")
        if kind.package == PLATFORM_PACKAGE:
            raise ReservedEventType("value", kind.name, "is Tapewire's own: use price() for prices")
        key = ValueKey(
            validation.validate_name("owner", owner),
            kind.tag,
            validation.validate_name("entity", entity),
        )
        data = CODEC.encode(value)
        await retry_until_answered(
            f"val.{key}",
            None,
            self._retry_seconds,
            lambda: self._declared_values.put(str(key), data),
        )

    async def notify(
        self,
        *users: str,
        title: str,
        message: str = "",
        type: str = "message",  # noqa: A002 - the word of the field
        payload: dict[str, object] | None = None,
    ) -> list[str]:
        """Notify each of `users` and return the ids of the notifications. Raises as `request`."""
        sent = notifications.SendNotification(
            user_ids=users, title=title, message=message, type=type, payload=payload or {}
        )
        return (await self.request(notifications.SEND_NOTIFICATION, sent)).ids

    async def request(
        self,
        call: ServiceCall[Q, R],
        request: Q,
        *,
        command_id: str | None = None,
        timeout_seconds: float = DEFAULT_REPLY_TIMEOUT_SECONDS,
    ) -> R:
        """Send a request to a service: ``request(orders.PLACE_ORDER, orders.PlaceOrder(…))``.

        `tapewire.contracts` has all calls. Retries have the same command id, so a command is
        carried out once.

        Args:
            timeout_seconds: The timeout of each try.

        Raises:
            CommandRejected: The service rejected the request; `code` and `path` say why.
            RequestTimeout: No service answered within the client's `retry_seconds`.
        """
        command = self._resolve_id(command_id)
        clock, backoff = asyncio.get_running_loop().time, Backoff(new_rng())
        deadline = clock() + self._retry_seconds
        while True:
            try:
                return await self._requests.request(
                    call.service,
                    call.verb,
                    request,
                    call.reply,
                    correlation=propagation.current_correlation(),
                    command_id=command,
                    traceparent=propagation.current_traceparent(),
                    timeout_seconds=timeout_seconds,
                )
            except RequestTimeout as error:
                if clock() >= deadline:
                    raise
                logger.warning("client.request_retried", service=call.service, error=str(error))
                await backoff.wait()

    async def subscribe_durable(
        self,
        name: str,
        filter: str,  # noqa: A002 - the word of the field
        handler: Callable[[RecordedEvent], Awaitable[None]],
        *,
        in_order: bool = False,
    ) -> Subscription:
        """Call `handler` for every event that matches `filter`, from the first event of the log,
        until the client or the returned subscription is closed.

        Each event is handled at least once, by one of the programs that are connected under this
        client's name and subscribe as `name`. If `handler` raises, the event is tried again later,
        and parked after ten tries (`tapewire parked`). What the handler publishes and requests has
        the event's correlation id and trace, and is done once however often the event is tried.

        Args:
            filter: A subject filter of the journal; `tapewire.pattern` makes one.
            in_order: Keep the order of each subject: while an event has failed, the later ones of
                its subject wait. It is slower.

        Raises:
            InvalidArgument: `name` or `filter` is malformed.
            Unavailable: NATS cannot be reached.
        """
        validation.validate_client_name("name", name)
        if not filter.startswith("ev.") or any(not part for part in filter.split(".")):
            raise InvalidArgument(
                "filter", filter, "must be a filter of the journal, such as ev.*.orders.>"
            )
        # No service uses a name with @, and different (name, source) pairs give different names.
        durable = f"{name}@{self.source}"

        async def handle(recorded: RecordedEvent) -> None:
            with propagation.handling_event(durable, recorded, self._clock):
                await handler(recorded)

        subscription = await self._log.subscribe_durable(durable, filter, handle, in_order=in_order)
        self._subscriptions.append(subscription)
        return subscription

    async def close(self) -> None:
        """End the subscriptions. Unhandled events go to other programs, or wait."""
        while self._subscriptions:
            await self._subscriptions.pop().close()

    async def _append(
        self, subject: EventSubject, event: Event, id_: str, expected_sequence: int | None
    ) -> Receipt:
        handled = propagation.current_handled_event()
        meta = EventMetadata(
            id=id_,
            correlation=propagation.current_correlation(),
            causation=handled.recorded.metadata.id if handled is not None else None,
            traceparent=propagation.current_traceparent(),
        )
        draft = EventDraft(
            subject=subject, event=event, metadata=meta, expected_sequence=expected_sequence
        )
        return await publish(self._log, draft, self._retry_seconds)

    async def _append_event(
        self, owner: str, domain: str, entity: str, event: Event, event_id: str, *, once: bool
    ) -> Receipt:
        subject = EventSubject(owner, domain, entity)
        return await self._append(subject, event, event_id, 0 if once else None)

    async def _put_quote(self, quote: PriceUpdated) -> None:
        key, data = encode_token(quote.symbol), CODEC.encode(quote)
        await retry_until_answered(
            f"px.{key}", None, self._retry_seconds, lambda: self._quotes.put(key, data)
        )

    def _resolve_id(self, explicit_id: str | None) -> str:
        """Return the given id, or the next one of the handler, or a new one."""
        if explicit_id is None:
            handled = propagation.current_handled_event()
            return new_id() if handled is None else handled.next_id()
        return validation.validate_event_id("event_id", explicit_id)
