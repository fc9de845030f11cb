"""The whole service on the log in memory: processes that die, and a world that goes on.

A `Process` is what `services.alerts.__main__` wires, without NATS; it holds the leases when the
test says so. A `World` is everybody else: who trades, quotes, and looks into the log.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import pytest

from services.alerts import happenings, notifying
from services.alerts.alarms import Alarms
from services.alerts.domain.rules import RULES
from services.alerts.happenings import Happenings
from services.alerts.inbox import Inbox
from services.alerts.notifying import Notifications, Notifier
from services.alerts.rulebook import Rulebook
from services.alerts.service import AlertsService
from services.alerts.watching import Watch
from tapewire.events import (
    CODEC,
    AlertLevel,
    AlertRaised,
    AlertRule,
    Event,
    Notification,
    NotificationCreated,
    PriceUpdated,
    RuleEvent,
    RuleKind,
)
from tapewire.log import (
    Draft,
    Entities,
    LogError,
    Meta,
    Overloaded,
    Recorded,
    Refusal,
    Subject,
    Unavailable,
    new_id,
    token,
)
from tapewire.log.follower import follow
from tapewire.log.grouping import GroupedLog
from tapewire.log.market import Market
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.runtime import Context
from tapewire.runtime.contracts.alerts import ArmRule, CreateRule, DeleteRule
from tests.unit.alerts.spec import USER, at, quote
from tests.unit.orders import virtual

T = TypeVar("T")


def clock() -> datetime:
    return at(asyncio.get_running_loop().time())


def context(command_id: str | None = None) -> Context:
    return Context(correlation="c", command_id=command_id or new_id(), traceparent=None)


class Process:
    """One process of the service."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        self.log = MemoryLog(server, faults)
        self.views = MemoryValues(server, faults, stream="VIEWS", prefix="view")
        self.market = MemoryValues(server, faults)
        self.chance = random.Random(faults.seed if faults is not None else 0)
        self.board = Market(self.market, self.chance)
        log = GroupedLog(self.log)
        self.rules = Entities(log, RULES)
        self.alarms = Alarms(self.rules)
        self.notifications = Notifications(log)
        self.watch = Watch(self.board, self.views, self.alarms, self.chance)
        self.rulebook = Rulebook(self.log, self.watch)
        self.service = AlertsService(self.log, self.views, self.rules, self.board, clock)
        self.inbox = Inbox(self.log, self.views, self.notifications, clock)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, *, lease: bool = True) -> "Process":
        while True:
            with contextlib.suppress(LogError):
                await self.board.start()
                break
            await asyncio.sleep(0.1)
        self.watch.start()
        self._spawn(self.board.follow())
        self._spawn(self.rulebook.run(self.views, self.chance))
        self._spawn(self.watch.recall())
        if lease:
            self.take_over()
        return self

    def take_over(self) -> None:
        """Hold the leases."""
        self._spawn(self.watch.work())
        for name, filter_ in happenings.FILTERS.items():
            make = lambda: Happenings(self.rulebook, self.alarms)  # noqa: E731
            self._spawn(follow(self.log, self.views, filter_, name, make, self.chance))
        for name, filter_ in notifying.FILTERS.items():
            tell = lambda: Notifier(self.notifications)  # noqa: E731
            self._spawn(follow(self.log, self.views, filter_, name, tell, self.chance))

    async def kill(self) -> None:
        """The process is gone, whatever it was at."""
        for connection in (self.log, self.views, self.market):
            connection.kill()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what a task died of."""
        for task in self.tasks:
            if task.done():
                task.result()

    async def create(self, request: CreateRule, command_id: str | None = None) -> AlertRule:
        of = context(command_id)
        return (await insist(lambda: self.service.create(request, of))).rule

    async def arm(self, rule_id: str, command_id: str | None = None, user: str = USER) -> AlertRule:
        of, request = context(command_id), ArmRule(user_id=user, rule_id=rule_id)
        return (await insist(lambda: self.service.arm(request, of))).rule

    async def delete(self, rule_id: str, user: str = USER) -> AlertRule:
        of, request = context(), DeleteRule(user_id=user, rule_id=rule_id)
        return (await insist(lambda: self.service.delete(request, of))).rule

    def _spawn(self, work: Awaitable[None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until it is answered, under one command id, as a gateway does."""
    while True:
        with contextlib.suppress(LogError, Overloaded):
            return await ask()
        await asyncio.sleep(0.2)


class World:
    """Everybody else. Its own connection is never disturbed."""

    def __init__(self, server: MemoryServer) -> None:
        self._log = MemoryLog(server)
        self._market = MemoryValues(server)
        self._number = 0

    async def happens(self, event: Event, user: str = USER, domain: str = "orders") -> str:
        """Append an event of somebody else's; its id."""
        self._number += 1
        id_ = f"event-{self._number}"
        meta = Meta(id=id_, correlation=f"correlation-{self._number}")
        draft = Draft(subject=Subject(user, domain, id_), event=event, meta=meta)
        await insist(lambda: self._log.append([draft]))
        return id_

    async def quotes(self, price: str, symbol: str = "IBM") -> None:
        """A quote of now."""
        now = asyncio.get_running_loop().time()
        await self.shows(quote(price, now, symbol))

    async def shows(self, shown: PriceUpdated) -> None:
        await insist(lambda: self._market.post(token(shown.symbol), CODEC.encode(shown)))

    async def tally(self) -> "Tally":
        """Read all."""
        stored: list[Recorded] = []
        more = True
        while more:
            after = stored[-1].sequence if stored else 0
            page = await self._log.page("ev.>", after=after)
            stored += page.events
            more = page.more
        return Tally(stored)

    async def sees(self, what: str, holds: Callable[["Tally"], object]) -> "Tally":
        """Wait until the log holds what is waited for."""
        seen = Tally([])
        for _ in range(10_000):
            with contextlib.suppress(Unavailable):
                seen = await self.tally()
                if holds(seen):
                    return seen
            await asyncio.sleep(0.01)
        raise AssertionError(f"never: {what}; last seen: {seen}")


class Tally:
    """What the log says in the end."""

    def __init__(self, stored: list[Recorded]) -> None:
        self.stored = stored
        self.alerts = [one.event for one in stored if isinstance(one.event, AlertRaised)]
        self.notifications: list[Notification] = [
            one.event.notification for one in stored if isinstance(one.event, NotificationCreated)
        ]
        self.rules = {
            one.event.rule.rule_id: one.event.rule
            for one in stored
            if isinstance(one.event, RuleEvent)
        }

    def check(self) -> None:
        """Nothing was said twice, and every alert with its rule."""
        for ids in ([one.alert_id for one in self.alerts], [one.id for one in self.notifications]):
            assert [id_ for id_, times in Counter(ids).items() if times > 1] == []
        for before, after in zip(self.stored, self.stored[1:], strict=False):
            if isinstance(after.event, AlertRaised):
                assert before.tag == "rule.triggered.v1", before
                assert before.event.alert_id == after.event.alert_id  # type: ignore[attr-defined]

    def told(self) -> list[str]:
        return [f"{one.type}: {one.message}" for one in self.notifications]

    def __str__(self) -> str:
        alerts = [one.message for one in self.alerts]
        return f"{len(self.stored)} events, alerts {alerts}, notifications {self.told()}"


def wants(
    kind: RuleKind = RuleKind.PRICE_ABOVE,
    *,
    symbol: str | None = "IBM",
    price: str | None = None,
    percent: str | None = None,
    window: int | None = None,
    level: AlertLevel | None = None,
    user: str = USER,
) -> CreateRule:
    """A request, as the gateway makes it of JSON."""
    fields = {
        "userId": user,
        "kind": kind.value,
        "symbol": symbol,
        "price": price and float(price),
        "percent": percent and float(percent),
        "windowSeconds": window,
        "level": level and level.value,
    }
    return CODEC.decode(CODEC.encode(fields), CreateRule)


Story = Callable[[Process, World], Awaitable[None]]


def play(story: Story) -> None:
    """The story of one process, in a settled market that quotes IBM at 100."""

    async def work() -> None:
        server = MemoryServer()
        world, process = World(server), Process(server)
        await world.quotes("100")
        await process.start()
        await asyncio.sleep(10)
        await story(process, world)
        process.check()
        (await world.tally()).check()
        await process.kill()

    virtual.run(work())


async def refused(answer: Awaitable[object]) -> tuple[str, str | None]:
    with pytest.raises(Refusal) as refusal:
        await answer
    return refusal.value.code, refusal.value.path
