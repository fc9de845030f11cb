"""Writes notifications: of events (`Notifier`, a consumer followed under a lease), and as asked.

A notification's id is made of its cause, so whoever writes it again finds it there. Each is
appended as the first event of its subject. When one is refused, or all may have been told before,
the log is asked by one question which of many it has. Start at `Notifications.tell`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from services.alerts.domain.notices import NOTIFICATIONS, Notify, subject
from services.alerts.domain.wording import NOTICES, notice
from services.alerts.reading import read
from tapewire.log import (
    AlreadyStored,
    Conflict,
    Draft,
    EventLog,
    Meta,
    Recorded,
    Unavailable,
    Uncertain,
    pattern,
)

FILTERS = {
    "notifications-of-orders": pattern(domain="orders"),
    "notifications-of-strategies": pattern(domain="strategies"),
    "notifications-of-alerts": pattern(domain="alerts"),
    "notifications-of-reports": pattern(domain="reports"),
}
"""Names of followers and what they follow."""
ASKED_AT_ONCE = 256
"""Notifications that one question is about."""
AT_ONCE = 64
"""Users notified at the same time; each in the order of the log."""
ATTEMPTS = 8
"""Times that the log is asked and told before its conflicts are given up, for now."""
LAG_SECONDS = 0.02
"""What a replica is given to catch up before it is asked again; twice as long each later time."""


class Telling(msgspec.Struct, frozen=True):
    """A notification to write, and what it belongs to."""

    command: Notify
    correlation: str
    traceparent: str | None


class Notifications:
    """All notifications, each told once."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def tell(self, tellings: Sequence[Telling], *, doubtful: bool = False) -> int:
        """Once this returns all of them are there, those of each user in the order given; how many
        were there before. `doubtful` guesses that some are, which saves appends that are refused.

        Raises LogError: perhaps not all are there; telling all again is harmless."""
        drafts = {str(subject(one.command)): one for one in tellings}
        there, subjects = 0, list(drafts)
        for start in range(0, len(subjects), ASKED_AT_ONCE):
            some = {one: _draft(drafts[one]) for one in subjects[start : start + ASKED_AT_ONCE]}
            there += await self._store(some, doubtful)
        return there

    async def _store(self, drafts: dict[str, Draft], doubtful: bool) -> int:
        missing, there = dict(drafts), 0
        for attempt in range(ATTEMPTS):
            if doubtful:
                for recorded in await self._log.newest(list(missing)):
                    del missing[recorded.subject]
                    there += 1
            await self._append(missing)
            if not missing:
                return there
            doubtful = True
            await asyncio.sleep(LAG_SECONDS * (2**attempt - 1))
        raise Unavailable(f"{len(missing)} notifications were refused {ATTEMPTS} times")

    async def _append(self, missing: dict[str, Draft]) -> None:
        """Store what is missing, which is missing no more; of each user as far as it is taken."""
        users: defaultdict[str, list[str]] = defaultdict(list)
        for name, draft in missing.items():
            users[draft.subject.owner].append(name)
        done = await asyncio.gather(
            *[self._in_order(names, missing) for names in users.values()], return_exceptions=True
        )
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _in_order(self, names: Sequence[str], missing: dict[str, Draft]) -> None:
        async with self._slots:
            for name in names:
                try:
                    await self._log.append([missing[name]])
                except (Conflict, AlreadyStored, Uncertain):
                    return
                del missing[name]


class Notifier:
    """Keeps no state but the cursor that its follower keeps."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications
        self._doubtful = True
        """Who followed before may have told what comes now."""

    def restore(self, state: bytes) -> None:
        """There is none."""

    def save(self) -> bytes:
        return b"null"

    async def caught_up(self) -> None:
        """Nothing waits for it."""

    async def take(self, events: Sequence[Recorded]) -> None:
        tellings = [told for told in map(_telling, events) if told is not None]
        if tellings:
            there = await self._notifications.tell(tellings, doubtful=self._doubtful)
            self._doubtful = there > 0


def _draft(told: Telling) -> Draft:
    """The first event of a notification, with the id that `Entities` would give it."""
    command = told.command
    [happening] = NOTIFICATIONS.decide(NOTIFICATIONS.initial, command)
    meta = Meta(
        id=f"{command.id}.0.0",
        correlation=told.correlation,
        causation=command.id,
        traceparent=told.traceparent,
    )
    return Draft(subject=happening.subject, event=happening.event, meta=meta, expect=0)


def _telling(recorded: Recorded) -> Telling | None:
    event = read(recorded, NOTICES)
    found = None if event is None else notice(event)
    if found is None:
        return None
    meta = recorded.meta
    command = Notify(id=f"{meta.id}:notify", user=recorded.place.owner, notice=found)
    return Telling(command, meta.correlation, meta.traceparent)
