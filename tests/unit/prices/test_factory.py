"""The feed that is created from the settings."""

from pathlib import Path
from typing import Any

import pytest

from tapewire.runtime import BadSetting, Settings
from tapewire_services.prices.feed import ReplayFeed, create_feed

HEADER = "ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "day.csv"
    path.write_text(HEADER + "1,IBM,1,1,2,1,,\n2,SPY,1,1,2,1,,\n3,IBM,1,2,2,1,,\n")
    return path


def replay(logger: Any, **settings: str) -> ReplayFeed:
    """The feed of these settings, by the names of their variables without ``TAPEWIRE_``."""
    environment = {f"TAPEWIRE_{name}": value for name, value in settings.items()}
    feed, _ = create_feed(Settings.from_env(environment), environment, logger)
    assert isinstance(feed, ReplayFeed)
    return feed


async def symbols_of(feed: ReplayFeed, batches: int) -> list[str]:
    seen = []
    async for batch in feed.stream_batches():
        seen += [tick.symbol for tick in batch.ticks]
        if (batches := batches - 1) == 0:
            await feed.close()
    return seen


async def test_the_default_feed_is_the_random_walk_with_its_seed(logger: Any) -> None:
    feed = replay(logger, FEED_SEED="42")
    assert feed.progress().name == "random walk, seed 42"
    assert "BRK.B" in await symbols_of(feed, 1)


async def test_the_symbols_setting_selects_the_symbols_of_the_walk(logger: Any) -> None:
    feed = replay(logger, FEED_SYMBOLS="ibm,ACME,kCOIN1,BTC/USD")
    assert set(await symbols_of(feed, 1)) == {"IBM", "ACME", "kCOIN1", "BTC/USD"}


async def test_a_recording_file_is_played_to_its_end(recording: Path, logger: Any) -> None:
    feed = replay(logger, FEED=str(recording), FEED_END="stop", SPEED="1e6")
    assert await symbols_of(feed, 99) == ["IBM", "SPY", "IBM"]


async def test_the_symbols_setting_filters_the_symbols_of_a_file(
    recording: Path, logger: Any
) -> None:
    feed = replay(logger, FEED=str(recording), FEED_END="stop", FEED_SYMBOLS=" ibm ")
    assert await symbols_of(feed, 99) == ["IBM", "IBM"]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"FEED": "/nowhere/at/all.csv"}, "'/nowhere/at/all.csv' cannot be played: No such"),
        ({"FEED": "/"}, "is not a file"),
        ({"FEED_SYMBOLS": "IBM,I\tBM"}, "FEED_SYMBOLS must be 1 to 64 printable"),
        ({"SPEED": "0"}, "TAPEWIRE_SPEED='0'"),
        ({"FEED": "day.csv", "FEED_SOURCE": "acme"}, "TAPEWIRE_FEED='day.csv' names a recording"),
        ({"FEED_SOURCE": "acme"}, "TAPEWIRE_FEED_SOURCE='acme': no installed distribution"),
    ],
)
def test_a_feed_that_cannot_be_played_raises_bad_setting(
    settings: dict[str, str], why: str, logger: Any
) -> None:
    with pytest.raises(BadSetting, match=why):
        replay(logger, **settings)
