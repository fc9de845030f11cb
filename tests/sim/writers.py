"""Those who write: the real decider of orders, on logs that conflict and lose their answers.

Two processes decide on the same orders, so that each one's memory of them is at times wrong. Each
order is placed, accepted, filled in parts and perhaps canceled; a command that met a fault is given
again until it was decided.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from services.orders.commands import Accept, Cancel, Command, Fill, Place
from services.orders.deciding import Orders
from services.orders.domain import Closed, State, Unplaced, order_id
from tapewire.events import AgentState, AgentStatusChanged, OrderType, Side
from tapewire.log import (
    EVERYBODY,
    Draft,
    EventLog,
    Known,
    LogError,
    Meta,
    Overloaded,
    Refusal,
    Subject,
)

RETRY_SECONDS = 0.3
UNSHOWN = "notes"
"""A domain that no stream shows."""


class Desk:
    """Places and works orders. `logs` are of processes of their own."""

    def __init__(
        self,
        logs: Sequence[EventLog],
        chance: random.Random,
        now: Callable[[], datetime],
        counts: Counter[str],
    ) -> None:
        self._logs = logs
        self._orders = [Orders(log) for log in logs]
        self._chance = chance
        self._now = now
        self._counts = counts

    async def order(self, user: str, number: int, starts: float) -> None:
        """One order's life, from `starts` seconds from now on."""
        chance = self._chance
        client, qty = f"c{number}", Decimal(chance.randint(1, 400))
        fills, cancels = chance.randint(0, 4), chance.random() < 0.3
        await asyncio.sleep(starts)
        at = self._now()
        subject = Subject(user, "orders", order_id(user, client))
        commands: list[Command] = [
            Place(
                id=f"{client}-p", at=at, user=user, symbol="BRK.B", side=Side.BUY,
                type=OrderType.MARKET, qty=qty, limit_price=None, client_order_id=client,
            ),
            Accept(id=f"{client}-a", at=at, user=user),
        ]  # fmt: skip
        filled = Decimal(0)
        for number_ in range(fills):
            part = min(qty - filled, Decimal(chance.randint(1, 200)))
            if part > 0:
                commands.append(
                    Fill(id=f"{client}-f{number_}", at=at, user=user, qty=part,
                         price=Decimal(chance.randint(1, 99_999)) / 100, filled_before=filled)
                )  # fmt: skip
                filled += part
        if cancels:
            commands.append(Cancel(id=f"{client}-x", at=at, user=user, reason="enough"))
        for command in commands:
            known = await self._give(subject, command)
            if known is None or isinstance(known.state, Closed | Unplaced):
                return
            await asyncio.sleep(chance.expovariate(8))

    async def _give(self, subject: Subject, command: Command) -> Known[State] | None:
        """The order after `command`; None when it was refused."""
        while True:
            orders = self._chance.choice(self._orders)
            try:
                return await orders.handle(
                    subject,
                    command,
                    correlation="sim",
                    traceparent=None,
                    new=isinstance(command, Place),
                )
            except Refusal:
                self._counts["writer: refused"] += 1
                return None
            except Overloaded:
                # Its events were trimmed, and their ids are remembered: nothing to be done.
                self._counts["writer: Overloaded"] += 1
                return None
            except LogError as error:
                self._counts[f"writer: {type(error).__name__}"] += 1
                await asyncio.sleep(self._chance.uniform(0, RETRY_SECONDS))

    async def announce(self, number: int, starts: float) -> None:
        """An event that everybody is shown."""
        await self._tell(Subject(EVERYBODY, "agents", f"a{number}"), f"agent-{number}", starts)

    async def note(self, user: str, number: int, starts: float) -> None:
        """An event of the user that no stream shows."""
        await self._tell(Subject(user, UNSHOWN, f"n{number}"), f"note-{user}-{number}", starts)

    async def _tell(self, subject: Subject, id_: str, starts: float) -> None:
        await asyncio.sleep(starts)
        told = AgentStatusChanged(
            service="sim", instance=subject.entity, state=AgentState.RUNNING, detail=None,
            timestamp=self._now(),
        )  # fmt: skip
        draft = Draft(
            subject=subject,
            event=told,
            meta=Meta(id=id_, correlation="sim"),
        )
        try:
            await self._logs[0].append([draft])
        except LogError as error:
            self._counts[f"writer: {type(error).__name__}"] += 1
