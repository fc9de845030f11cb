"""Decides when all consequences of a step are handled, from the progress that services report.

A step has settled when every service reports that it is not busy, has handled the log to its end,
and has processed the newest quotes, and the log has not grown meanwhile.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from tapewire.log import EventLog, LogError
from tapewire.runtime.contracts.progress import (
    NOTIFICATION_PROGRESS,
    PROGRESS,
    GetProgress,
    Progress,
)
from tests.day.retrying_requester import POLL_INTERVAL_SECONDS, RetryingRequester

QUIESCENCE_TIMEOUT_SECONDS = 600.0
PROGRESS_TIMEOUT_SECONDS = 5.0
REPUBLISH_INTERVAL_SECONDS = 5.0
"""After this time the step is requested again, which republishes lost quotes."""

PROGRESS_ENDPOINTS = (
    ("orders", PROGRESS),
    ("positions", PROGRESS),
    ("strategies", PROGRESS),
    ("alerts", PROGRESS),
    ("alerts", NOTIFICATION_PROGRESS),
)


class QuiescenceDetector:
    """Waits until all consequences of the newest quotes are handled."""

    def __init__(self, log: EventLog, requester: RetryingRequester) -> None:
        self._log = log
        self._requester = requester
        self.newest_quotes: dict[str, datetime] = {}

    async def wait_until_quiescent(self, republish_quotes: Callable[[], Awaitable[object]]) -> int:
        """Wait, and return the last sequence of the log.

        `republish_quotes` publishes the newest quotes again.
        """
        return await self._wait(PROGRESS_ENDPOINTS, republish_quotes)

    async def reports_progress(self, service: str, verb: str) -> bool:
        """Whether the service reports its progress."""
        return await self._request_progress(service, verb) is not None

    async def wait_until_broker_idle(
        self, republish_quotes: Callable[[], Awaitable[object]]
    ) -> None:
        """Wait until the paper broker has nothing to do, and its quotes are fresh."""
        await self._wait(PROGRESS_ENDPOINTS[:1], republish_quotes)

    async def _wait(
        self,
        endpoints: tuple[tuple[str, str], ...],
        republish_quotes: Callable[[], Awaitable[object]],
    ) -> int:
        began = nudged = time.monotonic()
        while True:
            left, last = await self._pending_work(endpoints)
            if not left:
                return last
            now = time.monotonic()
            if now - began > QUIESCENCE_TIMEOUT_SECONDS:
                raise AssertionError(f"not settled within {QUIESCENCE_TIMEOUT_SECONDS:g} s: {left}")
            if now - nudged > REPUBLISH_INTERVAL_SECONDS:
                await republish_quotes()
                nudged = time.monotonic()
            await asyncio.sleep(POLL_INTERVAL_SECONDS)

    async def _pending_work(self, endpoints: tuple[tuple[str, str], ...]) -> tuple[str, int]:
        """Return what is pending, in words, and the last sequence of the log."""
        try:
            last = await self._log.last_sequence("ev.>")
            replies = await asyncio.gather(*[self._request_progress(*one) for one in endpoints])
            for (service, verb), one in zip(endpoints, replies, strict=True):
                if one is None:
                    return f"{service} does not report its {verb}", last
                left = await self._describe_lag(one, needs_quotes=service == "orders")
                if left:
                    return f"{service} {verb}: {left}", last
            if await self._log.last_sequence("ev.>") != last:
                return "the log received new events", last
        except LogError as error:
            return f"the log is unavailable: {error}", 0
        return "", last

    async def _request_progress(self, service: str, verb: str) -> Progress | None:
        return await self._requester.request_once(
            service,
            verb,
            GetProgress(),
            Progress,
            "progress",
            timeout_seconds=PROGRESS_TIMEOUT_SECONDS,
        )

    async def _describe_lag(self, progress: Progress, *, needs_quotes: bool) -> str:
        if progress.busy:
            return f"{progress.busy} pending tasks"
        if (needs_quotes or progress.quotes) and not _covers_quotes(
            progress.quotes, self.newest_quotes
        ):
            return f"quotes {progress.quotes}, not {self.newest_quotes}"
        for filter_, handled in progress.taken.items():
            wanted = await self._log.last_sequence(filter_)
            if handled < wanted:
                return f"{filter_} handled up to {handled} of {wanted}"
        return ""


def _covers_quotes(processed: Mapping[str, datetime], expected: Mapping[str, datetime]) -> bool:
    return all(processed.get(symbol) == at for symbol, at in expected.items())


class DayFigures(msgspec.Struct):
    """The figures of a day."""

    duration_seconds: float = 0.0
    step_count: int = 0
    event_count: int = 0
    kills: int = 0
    takeover_seconds: dict[str, list[float]] = {}

    def __str__(self) -> str:
        text = (
            f"{self.step_count} steps in {self.duration_seconds:.1f} s, {self.event_count} events"
        )
        if self.kills:
            text += f", {self.kills} kills"
        for lease, times in sorted(self.takeover_seconds.items()):
            text += f"; {lease} {min(times):.1f} to {max(times):.1f} s ({len(times)})"
        return text
