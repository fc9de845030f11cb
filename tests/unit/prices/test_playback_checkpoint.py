"""The stored position of a recording, from which the next process continues."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tapewire.events import CODEC
from tapewire.feeds import FaultLog
from tapewire.log.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint
from tapewire.log.feed_state import CHECKPOINT_KEY, FeedState
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire_services.prices import playback_checkpoint
from tapewire_services.prices.day_trades import DayTrades
from tapewire_services.prices.domain import RecordedTick
from tapewire_services.prices.feed import ReplayFeed
from tapewire_services.prices.playback_checkpoint import (
    MAX_RESUME_AGE_SECONDS,
    PlaybackCheckpointer,
)
from tests.harness.waiting import wait_until
from tests.unit.prices.conftest import ScriptedDays, times

AT = datetime(2024, 5, 6, 13, 30, tzinfo=UTC)


class Player:
    """A process that plays five ticks, a millisecond apart, of a day that does not end."""

    def __init__(self, server: MemoryServer, logger: Any, later: float = 0.0) -> None:
        days = ScriptedDays([RecordedTick(ms=ms, symbol="IBM") for ms in (*range(5), 80_000_000)])
        self.replay = ReplayFeed(days, logger=logger)
        self.values = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
        self.trades = DayTrades(lambda: AT + timedelta(seconds=later))
        self.past: list[int] = []
        self.played: list[int] = []
        self.faults = FaultLog(logger)
        self._bookmark = PlaybackCheckpointer(
            self.replay.progress,
            self.values,
            self.trades,
            self.faults,
            resume=self.replay.resume,
            logger=logger,
            now=lambda: AT + timedelta(seconds=later),
        )

    async def play(self) -> None:
        async for beat in self.replay.stream_batches():
            (self.past if beat.is_catch_up else self.played).extend(times(beat))

    async def while_(self, what: str, condition: Callable[[], object]) -> None:
        task = asyncio.create_task(self._bookmark.run(self.play))
        await wait_until(what, condition, describe_last=lambda: (self.past, self.played))
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback_checkpoint, "SAVE_INTERVAL_SECONDS", 0.005)


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


def stored_position(server: MemoryServer) -> FeedState | None:
    stored = server.values.get("VIEWS/view", {}).get(CHECKPOINT_KEY)
    if stored is None:
        return None
    return CODEC.decode(bytes(decode_checkpoint(stored[0]).state), FeedState)


def encode_position(position: FeedState) -> bytes:
    state = msgspec.Raw(CODEC.encode(position))
    return encode_checkpoint(Checkpoint(epoch="", as_of=0, state=state))


async def first(server: MemoryServer, logger: Any) -> None:
    await Player(server, logger).while_(
        "the end is kept", lambda: stored_position(server) == FeedState("days", 4, AT)
    )


async def test_a_new_process_continues_at_the_stored_position(
    server: MemoryServer, logger: Any
) -> None:
    """The regression: the day started again whenever its process was killed."""
    await first(server, logger)
    second = Player(server, logger, later=MAX_RESUME_AGE_SECONDS - 1)
    await second.while_("the past is read", lambda: second.past == [0, 1, 2, 3, 4])
    assert second.played == []


async def test_the_day_that_is_continued_keeps_its_number(
    server: MemoryServer, logger: Any
) -> None:
    """Volumes of the same day that are published again are told from those of the next one."""
    player = Player(server, logger)
    player.trades.resume_day(17)
    player.trades.begin_day()
    await player.while_(
        "the day is kept", lambda: stored_position(server) == FeedState("days", 4, AT, day=17)
    )
    second = Player(server, logger, later=1)
    await second.while_("the past is read", lambda: second.past == [0, 1, 2, 3, 4])
    second.trades.begin_day()
    assert second.trades.day == 17


async def test_an_old_position_is_ignored(server: MemoryServer, logger: Any) -> None:
    await first(server, logger)
    second = Player(server, logger, later=MAX_RESUME_AGE_SECONDS + 1)
    await second.while_("the day is played", lambda: second.played == [0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    "data",
    [b"no", encode_position(FeedState("another recording", 4, AT))],
    ids=["none", "another"],
)
async def test_an_invalid_position_or_one_of_another_recording_is_ignored(
    server: MemoryServer, logger: Any, data: bytes
) -> None:
    player = Player(server, logger)
    await player.values.put(CHECKPOINT_KEY, data)
    await player.while_("the day is played", lambda: player.played == [0, 1, 2, 3, 4])


async def test_a_process_that_continues_by_itself_does_not_resume(
    server: MemoryServer, logger: Any
) -> None:
    player = Player(server, logger)
    await player.while_("it is kept", lambda: stored_position(server) == FeedState("days", 4, AT))
    player.played.clear()
    later = stored_position(server)
    assert later is not None
    server.values["VIEWS/view"].pop(CHECKPOINT_KEY)
    await player.values.put(CHECKPOINT_KEY, encode_position(later))
    await player.while_("it plays on", lambda: player.replay.progress().ms == 4)
    assert (player.past, player.played) == ([], [])


async def test_an_unavailable_store_is_waited_for(server: MemoryServer, logger: Any) -> None:
    await first(server, logger)
    server.begin_outage(0.05)
    second = Player(server, logger)
    await second.while_("the past is read", lambda: second.past == [0, 1, 2, 3, 4])
    assert second.played == []
