"""The feed that is created from the settings."""

from pathlib import Path
from typing import Any

import pytest

from tapewire.runtime import BadSetting, Settings
from tapewire_services.prices.feed import create_replay_feed

HEADER = "ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "day.csv"
    path.write_text(HEADER + "1,IBM,1,1,2,1,,\n2,SPY,1,1,2,1,,\n3,IBM,1,2,2,1,,\n")
    return path


async def symbols_of(settings: Settings, logger: Any, beats: int) -> list[str]:
    feed, seen = create_replay_feed(settings, logger), []
    async for beat in feed.stream_batches():
        seen += [tick.symbol for tick in beat.ticks]
        if (beats := beats - 1) == 0:
            await feed.close()
    return seen


async def test_the_default_feed_is_the_random_walk_with_its_seed(logger: Any) -> None:
    settings = Settings(feed_seed=42)
    assert create_replay_feed(settings, logger).progress().name == "random walk, seed 42"
    assert "BRK.B" in await symbols_of(settings, logger, 1)


async def test_the_symbols_setting_selects_the_symbols_of_the_walk(logger: Any) -> None:
    settings = Settings(feed_symbols=("ibm", "ACME", "kCOIN1", "BTC/USD"))
    assert set(await symbols_of(settings, logger, 1)) == {"IBM", "ACME", "kCOIN1", "BTC/USD"}


async def test_a_recording_file_is_played_to_its_end(recording: Path, logger: Any) -> None:
    settings = Settings(feed=str(recording), feed_end="stop", feed_speed=1e6)
    assert await symbols_of(settings, logger, 99) == ["IBM", "SPY", "IBM"]


async def test_the_symbols_setting_filters_the_symbols_of_a_file(
    recording: Path, logger: Any
) -> None:
    settings = Settings(feed=str(recording), feed_end="stop", feed_symbols=(" ibm ",))
    assert await symbols_of(settings, logger, 99) == ["IBM", "IBM"]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Settings(feed="/nowhere/at/all.csv"), "'/nowhere/at/all.csv' cannot be played: No such"),
        (Settings(feed="/"), "is not a file"),
        (
            Settings(feed_symbols=("IBM", "I\tBM")),
            "FEED_SYMBOLS must be 1 to 64 printable",
        ),
        (Settings(feed_speed=0.0), "speed 0.0: give a number above 0"),
    ],
)
def test_a_feed_that_cannot_be_played_raises_bad_setting(
    settings: Settings, why: str, logger: Any
) -> None:
    with pytest.raises(BadSetting, match=why):
        create_replay_feed(settings, logger)
