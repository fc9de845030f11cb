"""Fixtures of the tests of the price service: a manual clock, scripted days and captured logs."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from tapewire.feeds import FaultLog, TickBatch
from tapewire_services.prices.domain import MalformedLine, RecordedTick


def times(batch: TickBatch) -> list[int]:
    """The times of the ticks of a recording."""
    return [tick.ms for tick in batch.ticks if isinstance(tick, RecordedTick)]


class ManualClock:
    """A clock that advances only by calls of its `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class ScriptedDays:
    """A source of the given days; the last one is repeated."""

    name = "days"

    def __init__(self, *days: Sequence[RecordedTick | MalformedLine]) -> None:
        self._days = list(days)
        self.days_started = 0

    def read_day(self) -> Iterator[RecordedTick | MalformedLine]:
        items = self._days[min(self.days_started, len(self._days) - 1)]
        self.days_started += 1
        return iter(items)


@pytest.fixture
def time() -> ManualClock:
    return ManualClock()


@pytest.fixture
def capture() -> LogCapture:
    return LogCapture()


@pytest.fixture
def faults(logger: Any, time: ManualClock) -> FaultLog:
    return FaultLog(logger, time)


@pytest.fixture
def logger(capture: LogCapture) -> Any:
    return structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[structlog.processors.add_log_level, capture],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        context_class=dict,
    )
