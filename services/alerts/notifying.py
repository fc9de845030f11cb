"""Writes notifications: of events (`Notifier`, a consumer followed under a lease), and as asked.

A notification's id is made of its cause, so whoever writes it again finds it there.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from services.alerts.domain.notices import NOTIFICATIONS, Notify, State, subject
from services.alerts.domain.wording import NOTICES, notice
from services.alerts.reading import read
from tapewire.log import Entities, EventLog, Overloaded, Recorded, Unavailable, pattern

FILTERS = {
    "notifications-of-orders": pattern(domain="orders"),
    "notifications-of-strategies": pattern(domain="strategies"),
    "notifications-of-alerts": pattern(domain="alerts"),
    "notifications-of-reports": pattern(domain="reports"),
}
"""Names of followers and what they follow."""
AT_ONCE = 64
"""Users notified at the same time; each in the order of the log."""


class Telling(msgspec.Struct, frozen=True):
    """A notification to write, and what it belongs to."""

    command: Notify
    correlation: str
    traceparent: str | None


class Notifications:
    """All notifications, behind their decider."""

    def __init__(self, log: EventLog) -> None:
        self._entities: Entities[State, Notify] = Entities(log, NOTIFICATIONS)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def tell(self, told: Telling) -> None:
        """Once this returns the notification is there. Raises LogError."""
        try:
            async with self._slots:
                await self._entities.handle(
                    subject(told.command),
                    told.command,
                    correlation=told.correlation,
                    traceparent=told.traceparent,
                    new=True,
                )
        except Overloaded as overload:
            raise Unavailable(str(overload)) from overload


class Notifier:
    """Keeps no state but the cursor that its follower keeps."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications

    def restore(self, state: bytes) -> None:
        """There is none."""

    def save(self) -> bytes:
        return b"null"

    async def caught_up(self) -> None:
        """Nothing waits for it."""

    async def take(self, events: Sequence[Recorded]) -> None:
        users: defaultdict[str, list[Telling]] = defaultdict(list)
        for recorded in events:
            told = _telling(recorded)
            if told is not None:
                users[told.command.user].append(told)
        await asyncio.gather(*[self._tell(tellings) for tellings in users.values()])

    async def _tell(self, tellings: list[Telling]) -> None:
        for told in tellings:
            await self._notifications.tell(told)


def _telling(recorded: Recorded) -> Telling | None:
    event = read(recorded, NOTICES)
    found = None if event is None else notice(event)
    if found is None:
        return None
    meta = recorded.meta
    command = Notify(id=f"{meta.id}:notify", user=recorded.place.owner, notice=found)
    return Telling(command, meta.correlation, meta.traceparent)
