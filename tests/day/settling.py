"""When everything that follows from a step is done: judged from outside, by what services tell.

Nothing is left to do when, between two looks at the end of the log that saw the same, every service
said that it is not busy, has taken the log to its end, and has dealt with the newest quotes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from tapewire.log import EventLog, LogError
from tapewire.runtime.contracts.progress import NOTIFYING, PROGRESS, AskProgress, Progress
from tests.day.asking import LOOK_SECONDS, Asker

SETTLE_SECONDS = 600.0
PROGRESS_SECONDS = 5.0
NUDGE_SECONDS = 5.0
"""After this long the step is asked again: it is the same, and mends what was lost."""

WHO = (
    ("orders", PROGRESS),
    ("positions", PROGRESS),
    ("strategies", PROGRESS),
    ("alerts", PROGRESS),
    ("alerts", NOTIFYING),
)


class Settling:
    """Knows the newest quotes, and waits until all is done that follows from them."""

    def __init__(self, log: EventLog, asker: Asker) -> None:
        self._log = log
        self._asker = asker
        self.quotes: dict[str, datetime] = {}

    async def settled(self, nudge: Callable[[], Awaitable[object]]) -> int:
        """Wait; the end of the log then. `nudge` has the newest quotes published again."""
        began = nudged = time.monotonic()
        while True:
            left, last = await self._left(WHO)
            if not left:
                return last
            now = time.monotonic()
            if now - began > SETTLE_SECONDS:
                raise AssertionError(f"not settled in {SETTLE_SECONDS:g} s: {left}")
            if now - nudged > NUDGE_SECONDS:
                await nudge()
                nudged = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)

    async def tells(self, service: str, verb: str) -> bool:
        """Whether there is somebody at work who says how far it is."""
        return await self._ask(service, verb) is not None

    async def broker_quiet(self) -> None:
        """Wait until the broker has nothing to do."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (left := (await self._left(WHO[:1]))[0]) != "":
            if time.monotonic() > deadline:
                raise AssertionError(f"the broker is not quiet in {SETTLE_SECONDS:g} s: {left}")
            await asyncio.sleep(LOOK_SECONDS / 3)

    async def _left(self, who: tuple[tuple[str, str], ...]) -> tuple[str, int]:
        """What is not done yet, in words, and the end of the log."""
        try:
            last = await self._log.last("ev.>")
            told = await asyncio.gather(*[self._ask(*one) for one in who])
            for (service, verb), one in zip(who, told, strict=True):
                if one is None:
                    return f"{service} does not tell its {verb}", last
                left = await self._behind(one)
                if left:
                    return f"{service} {verb}: {left}", last
            if await self._log.last("ev.>") != last:
                return "the log goes on", last
        except LogError as error:
            return f"the log is away: {error}", 0
        return "", last

    async def _ask(self, service: str, verb: str) -> Progress | None:
        return await self._asker.once(
            service, verb, AskProgress(), Progress, "progress", seconds=PROGRESS_SECONDS
        )

    async def _behind(self, told: Progress) -> str:
        if told.busy:
            return f"{told.busy} things to do"
        if told.quotes and not _covers(told.quotes, self.quotes):
            return f"quotes {told.quotes}, not {self.quotes}"
        for filter_, taken in told.taken.items():
            wanted = await self._log.last(filter_)
            if taken < wanted:
                return f"{filter_} taken to {taken} of {wanted}"
        return ""


def _covers(told: Mapping[str, datetime], wanted: Mapping[str, datetime]) -> bool:
    return all(told.get(symbol) == at for symbol, at in wanted.items())


class Figures(msgspec.Struct):
    """What a day cost."""

    seconds: float = 0.0
    steps: int = 0
    events: int = 0
    kills: int = 0
    takeovers: dict[str, list[float]] = {}

    def __str__(self) -> str:
        text = f"{self.steps} steps in {self.seconds:.1f} s, {self.events} events"
        if self.kills:
            text += f", {self.kills} kills"
        for lease, times in sorted(self.takeovers.items()):
            text += f"; {lease} {min(times):.1f} to {max(times):.1f} s ({len(times)})"
        return text
