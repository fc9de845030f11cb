"""Writers: the real order decider, on logs with conflicts and lost acknowledgements.

Two processes decide on the same orders, so each one's cached state is sometimes outdated. Each
order is placed, accepted, filled in parts and possibly canceled. A command that met a fault is
repeated until it is decided.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from tapewire.events import AgentState, AgentStatusChanged, OrderType, Side
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
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    CancelOrderCommand,
    Command,
    FillOrderCommand,
    PlaceOrderCommand,
)
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import ClosedState, State, UnplacedState

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
        """Run the lifecycle of one order, starting after `delay_seconds`."""
        rng = self._rng
        client, qty = f"c{number}", Decimal(rng.randint(1, 400))
        fills, cancels = rng.randint(0, 4), rng.random() < 0.3
        await asyncio.sleep(delay_seconds)
        at = self._now()
        subject = EventSubject(user, "orders", order_id(user, client))
        commands: list[Command] = [
            PlaceOrderCommand(
                id=f"{client}-p", at=at, user=user, symbol="BRK.B", side=Side.BUY,
                type=OrderType.MARKET, qty=qty, limit_price=None, client_order_id=client,
            ),
            AcceptOrderCommand(id=f"{client}-a", at=at, user=user),
        ]  # fmt: skip
        filled = Decimal(0)
        for number_ in range(fills):
            part = min(qty - filled, Decimal(rng.randint(1, 200)))
            if part > 0:
                commands.append(
                    FillOrderCommand(id=f"{client}-f{number_}", at=at, user=user, qty=part,
                         price=Decimal(rng.randint(1, 99_999)) / 100, filled_before=filled)
                )  # fmt: skip
                filled += part
        if cancels:
            commands.append(CancelOrderCommand(id=f"{client}-x", at=at, user=user, reason="enough"))
        for command in commands:
            known = await self._handle_command(subject, command)
            if known is None or isinstance(known.state, ClosedState | UnplacedState):
                return
            await asyncio.sleep(rng.expovariate(8))

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
