"""Many notifications at once: each is written once, in order, whatever exists already."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from tapewire.events import NotificationCreated
from tapewire.log import EventDraft, EventLog, LogError, RecordedEvent
from tapewire.log.memory import Faults, MemoryEventLog, MemoryServer
from tapewire_services.alerts.domain.notifications import (
    CreateNotificationCommand,
    NotificationContent,
    derive_notification_id,
    notification_subject,
)
from tapewire_services.alerts.notification_writer import (
    MAX_SUBJECTS_PER_QUERY,
    NotificationWriter,
    PendingNotification,
)
from tests.harness import virtual_time
from tests.harness.recorded_log import read_events
from tests.unit.alerts.spec import at

pytestmark = pytest.mark.virtual_time

NOTIFICATION_COUNT = 2 * MAX_SUBJECTS_PER_QUERY + 100


def make_pending(number: int, id_: str = "") -> PendingNotification:
    title = str(number)
    notice = NotificationContent(type="test", title=title, message="", payload={}, at=at(number))
    command = CreateNotificationCommand(
        id=id_ or f"cause-{number}", user=f"user-{number % 7}", content=notice
    )
    return PendingNotification(command, "correlation", "traceparent")


PENDING = [make_pending(number) for number in range(NOTIFICATION_COUNT)]


async def read_titles_by_user(log: EventLog) -> dict[str, list[str]]:
    """The notifications of each user in the log, in order."""
    found: dict[str, list[str]] = {}
    for recorded in await read_events(log):
        if isinstance(recorded.event, NotificationCreated):
            found.setdefault(recorded.event_subject.owner, []).append(
                recorded.event.notification.title
            )
    return found


def titles_by_user(tellings: Sequence[PendingNotification]) -> dict[str, list[str]]:
    """The expected notifications of each user."""
    wanted: dict[str, list[str]] = {}
    for one in tellings:
        wanted.setdefault(one.command.user, []).append(one.command.content.title)
    return wanted


class CountingLog(MemoryEventLog):
    """A log that counts queries."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.appends = self.questions = 0

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        self.appends += 1
        return await super().append(drafts)

    async def last_events(self, subjects: Sequence[str]) -> list[RecordedEvent]:
        self.questions += 1
        return await super().last_events(subjects)


async def test_missing_notifications_are_written_in_order_with_their_causes() -> None:
    log = CountingLog(MemoryServer())
    assert await NotificationWriter(log).write_notifications(PENDING) == 0
    assert await read_titles_by_user(log) == titles_by_user(PENDING)
    assert (log.appends, log.questions) == (NOTIFICATION_COUNT, 0)
    stored = {recorded.subject: recorded for recorded in await read_events(log)}
    for one in PENDING:
        command = one.command
        recorded = stored[str(notification_subject(command))]
        meta = recorded.metadata
        assert recorded.event_subject == notification_subject(command)
        assert recorded.event_subject.entity == derive_notification_id(command)
        assert (meta.id, meta.causation) == (f"{command.id}.0.0", command.id)
        assert (meta.correlation, meta.traceparent) == ("correlation", "traceparent")


def test_existing_notifications_are_not_repeated_and_the_rest_keeps_its_order() -> None:
    async def scenario(seed: int) -> None:
        log, rng = CountingLog(MemoryServer()), random.Random(seed)
        before = [one for one in PENDING if rng.random() < seed / 4]
        await NotificationWriter(log).write_notifications(before)
        log.appends = 0
        doubtful = seed % 2 == 0
        assert await NotificationWriter(log).write_notifications(
            PENDING, check_existing=doubtful
        ) == len(before)
        rest = [one for one in PENDING if one not in before]
        assert await read_titles_by_user(log) == titles_by_user([*before, *rest])
        assert log.questions == 3
        if doubtful:
            assert log.appends == len(rest)

    for seed in range(5):
        virtual_time.run(scenario(seed))


async def test_a_rejected_notification_delays_no_other_user() -> None:
    """Two causes of two users have the same id; the log treats the second as a repeat."""
    log = MemoryEventLog(MemoryServer())
    await NotificationWriter(log).write_notifications(PENDING[:5])
    twice = [*PENDING[:5], make_pending(5, id_="cause-3"), *PENDING[6:20]]
    with pytest.raises(LogError, match="3 notifications were refused 8 times"):
        await NotificationWriter(log).write_notifications(twice)
    others = [one for one in PENDING[:20] if one.command.user != make_pending(5).command.user]
    assert await read_titles_by_user(log) == titles_by_user(others)


def test_two_writers_on_bad_connections_write_each_notification_once() -> None:
    async def insist(log: MemoryEventLog, rng: random.Random) -> None:
        doubtful = rng.random() < 0.5
        while True:
            try:
                await NotificationWriter(log).write_notifications(PENDING, check_existing=doubtful)
            except LogError:
                await asyncio.sleep(0.1)
            else:
                return

    async def scenario(seed: int) -> None:
        server, rng = MemoryServer(), random.Random(seed)
        logs = [MemoryEventLog(server, Faults.rough(seed + number)) for number in range(2)]
        await asyncio.gather(*[insist(log, rng) for log in logs])
        assert await read_titles_by_user(MemoryEventLog(server)) == titles_by_user(PENDING)

    for seed in range(0, 20, 2):
        virtual_time.run(scenario(seed))
