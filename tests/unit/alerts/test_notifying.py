"""Notifications of many events at once: each told once, in order, whatever is there already."""

import asyncio
import random
from collections.abc import Sequence

from services.alerts.domain.notices import Notify, notification_id, subject
from services.alerts.domain.telling import Notice
from services.alerts.notifying import AT_ONCE, Notifications, Telling
from tapewire.events import NotificationCreated
from tapewire.log import Draft, EventLog, LogError, Recorded
from tapewire.log.memory import Faults, MemoryLog, MemoryServer
from tests.unit.alerts.spec import at
from tests.unit.orders import virtual

MANY = 2 * AT_ONCE + 100


def telling(number: int, id_: str = "") -> Telling:
    title = str(number)
    notice = Notice(type="test", title=title, message="", payload={}, at=at(number))
    command = Notify(id=id_ or f"cause-{number}", user=f"user-{number % 7}", notice=notice)
    return Telling(command, "correlation", "traceparent")


TELLINGS = [telling(number) for number in range(MANY)]


async def told(log: EventLog) -> list[Recorded]:
    events: list[Recorded] = []
    more = True
    while more:
        page = await log.page("ev.>", after=events[-1].sequence if events else 0)
        events += page.events
        more = page.more
    return events


async def titles(log: EventLog) -> list[str]:
    found = [recorded.event for recorded in await told(log)]
    return [one.notification.title for one in found if isinstance(one, NotificationCreated)]


class Counting(MemoryLog):
    """Counts what it is asked."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.appends = self.questions = 0

    async def append(self, drafts: Sequence[Draft]) -> int:
        self.appends += 1
        return await super().append(drafts)

    async def newest(self, subjects: Sequence[str]) -> list[Recorded]:
        self.questions += 1
        return await super().newest(subjects)


def test_what_nobody_was_told_is_told_in_order_and_with_what_caused_it() -> None:
    async def story() -> None:
        log = Counting(MemoryServer())
        assert await Notifications(log).tell(TELLINGS) == 0
        assert await titles(log) == [str(number) for number in range(MANY)]
        assert (log.appends, log.questions) == (3, 0)
        for recorded, one in zip(await told(log), TELLINGS, strict=True):
            command, meta = one.command, recorded.meta
            assert recorded.place == subject(command)
            assert recorded.place.entity == notification_id(command)
            assert (meta.id, meta.causation) == (f"{command.id}.0.0", command.id)
            assert (meta.correlation, meta.traceparent) == ("correlation", "traceparent")

    virtual.run(story())


def test_what_is_there_is_told_no_more_and_the_rest_keeps_its_order() -> None:
    async def story(seed: int) -> None:
        log, chance = Counting(MemoryServer()), random.Random(seed)
        before = [one for one in TELLINGS if chance.random() < seed / 4]
        await Notifications(log).tell(before)
        log.appends = 0
        doubtful = seed % 2 == 0
        assert await Notifications(log).tell(TELLINGS, doubtful=doubtful) == len(before)
        told_before = [one.command.notice.title for one in before]
        rest = [one.command.notice.title for one in TELLINGS if one not in before]
        assert await titles(log) == [*told_before, *rest]
        assert log.questions == 3
        assert log.appends == (0 if not rest else 3) + (0 if doubtful else 3)

    for seed in range(5):
        virtual.run(story(seed))


def test_what_is_refused_for_a_reason_of_its_own_holds_up_nothing_before_it() -> None:
    """Two causes of one name, of two users: the log takes the second for the first."""

    async def story() -> None:
        log = MemoryLog(MemoryServer())
        twice = [*TELLINGS[:5], telling(5, id_="cause-3"), *TELLINGS[6:9]]
        try:
            await Notifications(log).tell(twice)
        except LogError:
            assert await titles(log) == ["0", "1", "2", "3", "4"]
        else:
            raise AssertionError(f"told: {await titles(log)}")
        await Notifications(log).tell(TELLINGS[6:9])
        assert await titles(log) == ["0", "1", "2", "3", "4", "6", "7", "8"]

    virtual.run(story())


def test_two_that_tell_the_same_over_rough_connections_tell_each_once() -> None:
    async def insist(log: MemoryLog, chance: random.Random) -> None:
        doubtful = chance.random() < 0.5
        while True:
            try:
                await Notifications(log).tell(TELLINGS, doubtful=doubtful)
            except LogError:
                await asyncio.sleep(0.1)
            else:
                return

    async def story(seed: int) -> None:
        server, chance = MemoryServer(), random.Random(seed)
        logs = [MemoryLog(server, Faults.rough(seed + number)) for number in range(2)]
        await asyncio.gather(*[insist(log, chance) for log in logs])
        assert await titles(MemoryLog(server)) == [str(number) for number in range(MANY)]

    for seed in range(0, 20, 2):
        virtual.run(story(seed))
