"""Books the executions that a venue reports and their corrections, and keeps those that fit no
order.

An execution is a fact. `ExecutionBooking.report` books it on its order, whatever the order's state,
or appends it to the journal as `execution.unmatched` (a correction as
`execution.correction_unmatched`); it returns only when one of the two is stored. A durable
subscription tries what is unmatched again (`retry_unmatched`): the order, or the execution that is
corrected, may have been stored meanwhile. After ten tries the event is parked, which operators are
alerted of (`tapewire parked`).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from tapewire.decimals import abbreviate
from tapewire.events import (
    CODEC,
    UNKNOWN_OWNER,
    CorrectionUnmatched,
    Event,
    ExecutionUnmatched,
    Order,
    ReportedExecution,
)
from tapewire.log import (
    AlreadyStored,
    BadSubject,
    CommandHandler,
    CommandRejected,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    RecordedEvent,
    Unavailable,
    encode_token,
    pattern,
)
from tapewire.log.ids import derive_id, event_id
from tapewire.log.splits import read_splits
from tapewire.runtime import Settings
from tapewire_services.orders.domain.commands import (
    MAX_ID_LENGTH,
    BookExecutionCommand,
    Command,
    CorrectExecutionCommand,
)
from tapewire_services.orders.domain.order_state import State, UnplacedState
from tapewire_services.orders.reported_values import Reported, split_invalid

DOMAIN = "executions"
SUBSCRIPTION = "unmatched-executions"
FILTER = pattern(domain=DOMAIN)

logger = structlog.get_logger("orders.executions")


class ExecutionNotBooked(Exception):
    """An unmatched execution or correction still fits no order. The message says why."""


class ExecutionBooking:
    """Books executions. Every method may be called again after any failure.

    An execution is booked at the venue's time; at that of `clock` if it is more than
    `max_seconds_ahead` ahead of it, since no later event of the order may have an earlier time.
    """

    def __init__(
        self,
        log: EventLog,
        command_handler: CommandHandler[State, Command],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_seconds_ahead: float = Settings().max_clock_ahead,
    ) -> None:
        self._log = log
        self._command_handler = command_handler
        self._clock = clock
        self._max_ahead = timedelta(seconds=max_seconds_ahead)

    async def report(self, reported: Reported) -> Order | None:
        """Book `reported`, or keep it as unmatched. Returns the order afterwards; None if it is
        kept.

        Raises:
            LogError, TooManyConflicts: nothing may be stored; report it again.
        """
        storable, invalid_values, reason = split_invalid(reported)
        if not invalid_values:
            try:
                return await self._book(reported)
            except CommandRejected as rejection:
                reason = rejection.message
        await self._keep(storable, reason, invalid_values)
        return None

    async def retry_unmatched(self, recorded: RecordedEvent) -> None:
        """Book an unmatched execution or correction.

        Raises:
            ExecutionNotBooked: it still fits no order, or a value of it is invalid: what is stored
                in its place is not what the venue reported, and is never booked.
        """
        event = recorded.event
        if isinstance(event, ExecutionUnmatched):
            reported: Reported = event.execution
        elif isinstance(event, CorrectionUnmatched):
            reported = event.correction
        else:
            return
        if event.invalid_values:
            raise ExecutionNotBooked(event.reason)
        try:
            await self._book(reported)
        except CommandRejected as rejection:
            raise ExecutionNotBooked(rejection.message) from rejection

    async def _book(self, reported: Reported) -> Order:
        subject = await self.find_order(reported.order_id, reported.user)
        correlation = derive_id(reported.execution_id)
        command = _build_command(reported, subject, self._find_time(reported))
        if isinstance(command, CorrectExecutionCommand):
            splits = await self.count_splits(subject)
            command = msgspec.structs.replace(command, splits=splits)
        booked = await self._command_handler.handle(subject, command, correlation=correlation)
        if isinstance(booked.state, UnplacedState):
            raise _unknown_order(reported.order_id)
        return booked.state.order

    def _find_time(self, reported: Reported) -> datetime:
        now = self._clock()
        if reported.timestamp - now <= self._max_ahead:
            return reported.timestamp
        logger.warning(
            "execution.timestamp_ahead",
            order_id=reported.order_id,
            execution_id=reported.execution_id,
            value=reported.timestamp.isoformat(),
        )
        return now

    async def find_order(self, id_: str, user: str | None = None) -> EventSubject:
        """The subject of the order `id_`, which may be that of `user`. Raises CommandRejected if
        there is no such order."""
        if not 1 <= len(id_) <= MAX_ID_LENGTH:
            raise _unknown_order(id_)
        try:
            if user is not None:
                subject = EventSubject(user, "orders", id_)
                if await self._log.last_sequence(str(subject)):
                    return subject
            filter_ = f"ev.*.orders.{encode_token(id_)}"
        except BadSubject as error:
            raise CommandRejected("invalid", str(error), "orderId") from error
        last = await self._log.last_sequence(filter_)
        if not last:
            raise _unknown_order(id_)
        page = await self._log.page(filter_, after=last - 1, limit=1)
        if not page.events:
            raise Unavailable(f"{filter_} is stored, and a replica does not have it yet")
        return page.events[0].event_subject

    async def count_splits(self, subject: EventSubject) -> int:
        """The splits of the symbol of the order `subject` so far. Raises LogError."""
        state = (await self._command_handler.load(subject)).state
        if isinstance(state, UnplacedState):
            return 0
        return len(await read_splits(self._log, state.order.symbol))

    async def _keep(
        self, storable: Reported, reason: str, invalid_values: Mapping[str, str]
    ) -> None:
        key = derive_id(
            CODEC.encode(storable).decode(), *map("=".join, sorted(invalid_values.items()))
        )
        subject = EventSubject(_owner_of(storable), DOMAIN, key)
        invalid = dict(invalid_values)
        event: Event
        if isinstance(storable, ReportedExecution):
            event = ExecutionUnmatched(execution=storable, reason=reason, invalid_values=invalid)
        else:
            event = CorrectionUnmatched(correction=storable, reason=reason, invalid_values=invalid)
        draft = EventDraft(
            subject=subject,
            event=event,
            metadata=EventMetadata(
                id=event_id(key, subject, 0, 0), correlation=derive_id(storable.execution_id)
            ),
            expected_sequence=0,
        )
        try:
            await self._log.append([draft])
        except (AlreadyStored, Conflict):
            return  # it was reported before
        logger.error(
            "execution.unmatched",
            order_id=abbreviate(storable.order_id),
            execution_id=abbreviate(storable.execution_id),
            reason=reason,
        )


def _build_command(reported: Reported, subject: EventSubject, at: datetime) -> Command:
    if isinstance(reported, ReportedExecution):
        return BookExecutionCommand(
            id=f"{subject.entity}:execution:{derive_id(reported.execution_id)}",
            at=at,
            user=subject.owner,
            execution_id=reported.execution_id,
            qty=reported.qty,
            price=reported.price,
            fee=reported.fee,
            venue_order_id=reported.venue_order_id,
            venue_time=reported.timestamp.astimezone(UTC),
        )
    return CorrectExecutionCommand(
        id=f"{subject.entity}:correction:{derive_id(CODEC.encode(reported).decode())}",
        at=at,
        user=subject.owner,
        execution_id=reported.execution_id,
        correction_id=reported.correction_id,
        qty=reported.qty,
        price=reported.price,
        fee=reported.fee,
        is_busted=reported.is_busted,
    )


def _owner_of(execution: Reported) -> str:
    try:
        encode_token(execution.user or UNKNOWN_OWNER)
    except BadSubject:
        return UNKNOWN_OWNER
    return execution.user or UNKNOWN_OWNER


def _unknown_order(id_: str) -> CommandRejected:
    return CommandRejected("not_found", f"there is no order {abbreviate(id_)!r}", "orderId")
