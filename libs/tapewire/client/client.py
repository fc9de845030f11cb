"""The tape as a producer holds it: publish, react, ask.

    async with tapewire.connect("nats://127.0.0.1:4222", "my-desk") as tape:
        await tape.strategy_started(user="alice", strategy_id="s-1", symbol="IBM")

What can be told by a call of its own is in `happenings`; how an event gets stored, in `publishing`;
what calls carry on from a handler, in `trail`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import structlog

from tapewire.client import propagation, validation
from tapewire.client.errors import InvalidArgument, ReservedEventType
from tapewire.client.publishing import Receipt, publish, retry_until_answered
from tapewire.client.trading_events import TradingEventPublisher
from tapewire.events import CATALOGUE, CODEC, Delivery, Event, EventType, Undecodable, UnknownType
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
"""How long a call is tried unless `connect` says otherwise."""
DEFAULT_REPLY_TIMEOUT_SECONDS = 5.0
PLATFORM_PACKAGE = "tapewire"
WRITABLE_DOMAINS = frozenset({"reports", "decisions", "alerts"})
"""Domains of Tapewire's own that every program may write to: nothing is decided on them."""

CLIENT_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_EVENT_ID_PATTERN = re.compile(r"[\x21-\x7e]{1,128}")

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

logger = structlog.get_logger("tapewire.client")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Client(TradingEventPublisher):
    """Made by `connect`. Every call may be used by any number of tasks at once."""

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
    ) -> None:
        self.source = source
        self._clock = clock
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
        """Store `event`, of a type that is your package's, for `owner` (a user, or
        `tapewire.EVERYBODY`), as the next one of `entity`.

        `expect` is the sequence of the entity's last event as you know it, 0 for none. `once` says
        that it is the only event of its entity: repeated under its `event_id` at any time, it is
        there once.

        Raises:
            BadCall: not declared with a domain, a value, of fields that do not fit their types (no
                reader could decode it), or an argument that cannot be meant.
            Reserved: a type that a service of Tapewire's writes alone.
            Conflict: the entity is not where `expect` or `once` has it, but for this very event.
            Refused, Unpublished: from the log.
        """
        kind = _validate_event("event", event)
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
                "expected_sequence", expected_sequence, "once means that the entity has no event yet"
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
        """Let `value`, of a newest-wins type of your package, be the newest one of `entity`.

        Raises:
            BadCall: not a newest-wins type, of fields that do not fit their types, or an argument
                that cannot be meant.
            Reserved: a type that Tapewire writes itself.
            Refused, Unpublished: from the log.
        """
        kind = _validate_event("value", value)
        if kind.delivery is not Delivery.NEWEST_WINS:
            raise InvalidArgument("value", kind.name, "is an event: use publish()")
        if kind.package == PLATFORM_PACKAGE:
            raise ReservedEventType(
                "value", kind.name, "is Tapewire's own: prices are told by price()"
            )
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
        """Notify each of `users`; the ids of the notifications. Raises as `ask`."""
        request = notifications.SendNotification(
            user_ids=users, title=title, message=message, type=type, payload=payload or {}
        )
        return (await self.request(notifications.SEND_NOTIFICATION, request)).ids

    async def request(
        self,
        call: ServiceCall[Q, R],
        request: Q,
        *,
        command_id: str | None = None,
        timeout_seconds: float = DEFAULT_REPLY_TIMEOUT_SECONDS,
    ) -> R:
        """What the owning service answers, as in ``ask(orders.PLACE_ORDER, orders.PlaceOrder(…))``
        (`tapewire.contracts` has all calls); `seconds` for each try. It is asked again under the
        same command id, so what is commanded is done once.

        Raises:
            Refusal: it answered no; `code` and `path` say why.
            Unanswered: nobody answered for as long as was to be waited.
        """
        command = self._resolve_id(command_id)
        clock, patience = asyncio.get_running_loop().time, Backoff(new_rng())
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
            except RequestTimeout as silence:
                if clock() >= deadline:
                    raise
                logger.warning("asks again", service=call.service, why=str(silence))
                await patience.wait()

    async def subscribe_durable(
        self,
        name: str,
        filter: str,  # noqa: A002 - the word of the field
        handler: Callable[[RecordedEvent], Awaitable[None]],
    ) -> Subscription:
        """Have `handler` handle every event that `filter` takes (`tapewire.pattern` makes one),
        from the first one ever, in one of all the programs that connect by this tape's name and
        react under `name`: at least once, and again, later, when it raises. What it publishes and
        asks carries on the event's correlation and trace, and is done once however often the event
        comes.

        It ends with the tape, or by ``close()``. Raises BadCall, or Unavailable.
        """
        if not CLIENT_NAME_PATTERN.fullmatch(name):
            raise InvalidArgument("name", name, "must be 1 to 64 of A-Z, a-z, 0-9, _ and -")
        if not filter.startswith("ev.") or any(not part for part in filter.split(".")):
            raise InvalidArgument(
                "filter", filter, "must be a filter of the journal, such as ev.*.orders.>"
            )
        # No service reacts under a name with @ in it, and no two of (name, source) give the same.
        durable = f"{name}@{self.source}"

        async def handle(recorded: RecordedEvent) -> None:
            with propagation.handling_event(durable, recorded, self._clock):
                await handler(recorded)

        reaction = await self._log.subscribe_durable(durable, filter, handle)
        self._subscriptions.append(reaction)
        return reaction

    async def close(self) -> None:
        """End the reactions; what they have not handled goes to others, or waits."""
        reactions, self._subscriptions = self._subscriptions, []
        for reaction in reactions:
            await reaction.close()

    async def _append(
        self, subject: EventSubject, event: Event, id_: str, expected_sequence: int | None
    ) -> Receipt:
        at_work = propagation.current_handled_event()
        meta = EventMetadata(
            id=id_,
            correlation=propagation.current_correlation(),
            causation=at_work.recorded.metadata.id if at_work is not None else None,
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

    async def _put_quote(self, symbol: str, event: Event) -> None:
        key, data = encode_token(symbol), CODEC.encode(event)
        await retry_until_answered(
            f"px.{key}", None, self._retry_seconds, lambda: self._quotes.put(key, data)
        )

    def _resolve_id(self, explicit_id: str | None) -> str:
        """An id: the one given, the handler's next one, or a new one. Raises BadCall."""
        if explicit_id is None:
            at_work = propagation.current_handled_event()
            return new_id() if at_work is None else at_work.next_id()
        if not isinstance(explicit_id, str) or not _EVENT_ID_PATTERN.fullmatch(explicit_id):
            raise InvalidArgument(
                "event_id", explicit_id, "must be 1 to 128 printable ASCII characters, no space"
            )
        return explicit_id


def _validate_event(field: str, event: Event) -> EventType:
    """What is declared of `event`, which readers can decode. Raises BadCall."""
    try:
        kind = CATALOGUE.type_of(type(event))
    except UnknownType:
        wanted = "must be a type that @tapewire.event declared"
        raise InvalidArgument(field, type(event).__name__, wanted) from None
    try:
        CATALOGUE.decode(kind.tag, CODEC.encode(event))
    except (Undecodable, TypeError, ValueError) as error:
        raise InvalidArgument(field, kind.name, f"holds what its fields cannot: {error}") from error
    return kind
