"""Writers: the real order decider, on logs with conflicts and lost acknowledgements.

Two processes decide on the same orders, so each one's cached state is sometimes outdated. What
happens to an order is in `order_lifecycle`. A command that met a fault is repeated until it is
decided.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from tapewire.events import AgentState, AgentStatusChanged
from tapewire.log import (
    EVERYBODY,
    CommandHandler,
    CommandRejected,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    LogError,
    TooManyConflicts,
    Versioned,
)
from tapewire.runtime.contracts.orders import order_id
from tapewire_services.orders.domain.commands import Command, PlaceOrderCommand
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import ClosedState, State, UnplacedState
from tests.sim.order_lifecycle import OrderLifecycle

RETRY_DELAY_SECONDS = 0.3
HIDDEN_DOMAIN = "notes"
"""A domain that no stream shows."""


class EventWriter:
    """Places and works orders. Each of `logs` belongs to another process."""

    def __init__(
        self,
        logs: Sequence[EventLog],
        rng: random.Random,
        now: Callable[[], datetime],
        counts: Counter[str],
    ) -> None:
        self._logs = logs
        self._order_decider = [CommandHandler(log, ORDER_DECIDER) for log in logs]
        self._rng = rng
        self._now = now
        self._counts = counts

    async def run_order(self, user: str, number: int, delay_seconds: float) -> None:
        """Run the life of one order, starting after `delay_seconds`."""
        await asyncio.sleep(delay_seconds)
        life = OrderLifecycle.from_rng(self._rng, user, f"c{number}", self._now())
        subject = EventSubject(user, "orders", order_id(user, life.place.client_order_id))
        if await self._handle_command(subject, life.place) is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report(subject, life))
            for request, answer in life.user_requests:
                group.create_task(self._request(subject, request, answer))

    async def _report(self, subject: EventSubject, life: OrderLifecycle) -> None:
        """Report what the broker does. Only a venue reports an execution of a closed order."""
        for command in life.broker_reports:
            known = await self._handle_command(subject, command)
            if known is not None and (
                isinstance(known.state, UnplacedState)
                or (isinstance(known.state, ClosedState) and not life.has_venue)
            ):
                return
            await asyncio.sleep(self._rng.expovariate(8))

    async def _request(
        self, subject: EventSubject, request: Command, answer: Command | None
    ) -> None:
        """Send a request of the user at any time, and later the broker's answer to it."""
        await asyncio.sleep(self._rng.expovariate(4))
        if await self._handle_command(subject, request) is not None and answer is not None:
            await asyncio.sleep(self._rng.expovariate(8))
            await self._handle_command(subject, answer)

    async def _handle_command(
        self, subject: EventSubject, command: Command
    ) -> Versioned[State] | None:
        """Return the order after `command`, or None if it was rejected."""
        while True:
            orders = self._rng.choice(self._order_decider)
            try:
                return await orders.handle(
                    subject,
                    command,
                    correlation="sim",
                    traceparent=None,
                    is_new=isinstance(command, PlaceOrderCommand),
                )
            except CommandRejected:
                self._counts["writer: refused"] += 1
                return None
            except TooManyConflicts:
                # Its events were trimmed, and their ids are still known for deduplication: nothing
                # to do.
                self._counts["writer: Overloaded"] += 1
                return None
            except LogError as error:
                self._counts[f"writer: {type(error).__name__}"] += 1
                await asyncio.sleep(self._rng.uniform(0, RETRY_DELAY_SECONDS))

    async def append_public_event(self, number: int, delay_seconds: float) -> None:
        """Append an event that every stream shows."""
        await self._append_event(
            EventSubject(EVERYBODY, "agents", f"a{number}"), f"agent-{number}", delay_seconds
        )

    async def append_hidden_event(self, user: str, number: int, delay_seconds: float) -> None:
        """An event of the user that no stream shows."""
        await self._append_event(
            EventSubject(user, HIDDEN_DOMAIN, f"n{number}"), f"note-{user}-{number}", delay_seconds
        )

    async def _append_event(self, subject: EventSubject, id_: str, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        event = AgentStatusChanged(
            service="sim", instance=subject.entity, state=AgentState.RUNNING, detail=None,
            timestamp=self._now(),
        )  # fmt: skip
        draft = EventDraft(
            subject=subject,
            event=event,
            metadata=EventMetadata(id=id_, correlation="sim"),
        )
        try:
            await self._logs[0].append([draft])
        except LogError as error:
            self._counts[f"writer: {type(error).__name__}"] += 1
