"""A trial from its start to its recording: clients watch, traders trade, and trouble strikes.

Start at `conduct`. Everything runs in one task group, so that whatever fails ends the trial.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from tapewire.log import Recorded, pattern
from tapewire.log.jetstream import JetStreamLog, connect
from tests.faults.laws import unfinished
from tests.faults.plan import USERS, Asked, Fault, Plan
from tests.faults.trader import Book, Trader
from tests.faults.trouble import Trouble
from tests.faults.verdict import Recording, Watched
from tests.faults.watcher import Watcher
from tests.history import Connect
from tests.stack import Stack
from tests.waiting import until

TRADERS = 4
"""Orders that a user has under way at once, at the most."""
QUIET_SECONDS = 300.0
"""By then everything must have come to rest; it mostly takes two or three."""
LOOK_SECONDS = 0.1

SHOWN = ("orders", "trades")
"""Domains that the streams show; of others a client hears only when it is idle."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that is over: what was recorded, and figures."""

    plan: Plan
    recording: Recording
    struck: Counter[Fault]
    again: Counter[str]
    refused: int
    silence: float
    seconds: float

    def __str__(self) -> str:
        watched = self.recording.watched
        connects = [e for one in watched for e in one.history if isinstance(e, Connect)]
        resumes = sum(connect.requested is not None for connect in connects)
        resets = sum(one.frames("stream:reset") for one in watched)
        faults = ", ".join(f"{fault.value} {times}" for fault, times in self.struck.items())
        return (
            f"seed {self.plan.seed}, edge processes {self.plan.workers}: "
            f"{len(self.recording.placed)} orders (asked again {self.again.total()}), "
            f"{len(self.recording.events)} events, "
            f"{len(connects)} client connects ({resumes} resumes; {self.refused} refused), "
            f"{self.struck.total()} faults ({faults}), "
            f"longest silence {self.silence:.1f} s, {resets} resets, {self.seconds:.0f} s"
        )


async def conduct(plan: Plan, stack: Stack) -> Outcome:
    """Carry `plan` out on a running `stack`. Raises AssertionError when it cannot be."""
    began = time.monotonic()
    cookies = {user: str(stack.sign_in(user).get("session")) for user in USERS}
    book, watchers = Book(), _watchers(plan, stack.url, cookies)
    traders = _traders(plan, stack.url, cookies, book)
    chance = random.Random(f"trouble {plan.seed}")
    trouble = Trouble(stack, plan.workers, lambda: len(book.placed), chance)
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(watcher.run()) for watcher in watchers]
        async with asyncio.TaskGroup() as flowing:
            flowing.create_task(trouble.run(plan.strikes))
            for trader in traders:
                flowing.create_task(trader.run())
        for watcher in watchers:
            watcher.calm = True
        epoch, events = await _at_rest(stack.nats_url, book, watchers)
        for task in watching:
            task.cancel()
    return Outcome(
        plan=plan,
        recording=Recording(
            epoch=epoch,
            events=events,
            watched=[Watched(one.number, one.manner, one.history) for one in watchers],
            placed=book.placed,
            lists=book.lists,
            errors=_errors(stack.log_text()),
        ),
        struck=trouble.struck,
        again=book.again,
        refused=sum(watcher.refused for watcher in watchers),
        silence=max(watcher.silence for watcher in watchers),
        seconds=time.monotonic() - began,
    )


def _errors(log: str) -> list[str]:
    """Lines of an error, and lines that are not JSON, as those of a dying interpreter."""
    found = []
    for line in log.splitlines():
        try:
            level = msgspec.json.decode(line)["level"]
        except (msgspec.DecodeError, TypeError, KeyError):
            level = "none"
        if level not in ("debug", "info", "warning"):
            found.append(line)
    return found


def _watchers(plan: Plan, url: str, cookies: dict[str, str]) -> list[Watcher]:
    return [
        Watcher(url, number, manner, cookies[manner.user], _own(plan, f"client {number}"))
        for number, manner in enumerate(plan.manners)
    ]


def _traders(plan: Plan, url: str, cookies: dict[str, str], book: Book) -> list[Trader]:
    mean = TRADERS * len(USERS) / plan.size.rate
    made = []
    for user in USERS:
        orders = [asked for asked in plan.orders if asked.user == user]
        for number in range(TRADERS):
            share: list[Asked] = orders[number::TRADERS]
            own = _own(plan, f"trader {user} {number}")
            made.append(Trader(url, share, cookies[user], book, own, mean))
    return made


def _own(plan: Plan, name: str) -> random.Random:
    return random.Random(f"{name} {plan.seed}")


async def _at_rest(
    nats_url: str, book: Book, watchers: Sequence[Watcher]
) -> tuple[str, list[Recorded]]:
    """The log's epoch and all its events, when no order changes any more and every client has seen
    the last event of its user."""
    wire = await connect(nats_url, "faults")
    try:
        log, events = JetStreamLog(wire), list[Recorded]()

        async def finished() -> bool:
            await _read_on(log, events)
            return not unfinished(events, book.placed)

        await _eventually(
            "every order is where it must be in the end",
            finished,
            seen=lambda: unfinished(events, book.placed)[:5],
        )
        lasts = {
            user: max([await log.last(pattern(owner=user, domain=shown)) for shown in SHOWN])
            for user in USERS
        }
        await until(
            "every client is at the end of the log",
            lambda: not _behind(watchers, lasts),
            seen=lambda: _behind(watchers, lasts),
            seconds=QUIET_SECONDS,
        )
        await _read_on(log, events)
        return (await log.bounds()).epoch, events
    finally:
        await wire.close()


def _behind(watchers: Sequence[Watcher], lasts: dict[str, int]) -> list[str]:
    return [
        f"client {one.number} at {one.last_id}, {one.manner.user} at {lasts[one.manner.user]}"
        for one in watchers
        if int((one.last_id or "-0").rpartition("-")[2]) < lasts[one.manner.user]
    ]


async def _read_on(log: JetStreamLog, events: list[Recorded]) -> None:
    """Append to `events` what the log holds beyond them."""
    more = True
    while more:
        page = await log.page("ev.>", after=events[-1].sequence if events else 0)
        events += page.events
        more = page.more


async def _eventually(
    what: str, condition: Callable[[], Awaitable[bool]], *, seen: Callable[[], object]
) -> None:
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            while True:
                if await condition():
                    return
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise AssertionError(
            f"not within {QUIET_SECONDS:g} s: {what}; last seen: {seen()!r}"
        ) from None
