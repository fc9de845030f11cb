"""Which feed the settings ask for."""

from pathlib import Path
from typing import cast

from structlog.typing import FilteringBoundLogger

from tapewire.runtime import BadSetting, Settings
from tapewire_services.prices.domain import RandomWalk, normalize_symbol
from tapewire_services.prices.feed.port import FeedError, TickSource
from tapewire_services.prices.feed.recording_file import RecordingFile
from tapewire_services.prices.feed.replay_feed import EndBehavior, ReplayFeed


def create_replay_feed(settings: Settings, logger: FilteringBoundLogger) -> ReplayFeed:
    """The recording that `settings.feed` names, or the random walk when it names none.

    Raises:
        BadSetting: the recording cannot be played, or a symbol or the speed is none.
    """
    symbols = parse_feed_symbols(settings)
    try:
        source: TickSource = (
            RecordingFile(Path(settings.feed))
            if settings.feed
            else RandomWalk(settings.feed_seed, symbols)
        )
        return ReplayFeed(
            source,
            logger=logger,
            speed=settings.feed_speed,
            end=cast("EndBehavior", settings.feed_end),
            symbols=symbols,
        )
    except FeedError as error:
        raise BadSetting(str(error)) from error


def create_stepped_source(settings: Settings) -> TickSource:
    """The recording that `settings.feed` names, to be stepped.

    Raises:
        BadSetting: none is named, or it cannot be played.
    """
    if not settings.feed:
        raise BadSetting(
            "TAPEWIRE_FEED_STEPPED=true needs a recording: the random walk has no end to step to. "
            "Name one by TAPEWIRE_FEED."
        )
    try:
        return RecordingFile(Path(settings.feed))
    except FeedError as error:
        raise BadSetting(str(error)) from error


def parse_feed_symbols(settings: Settings) -> tuple[str, ...]:
    """The symbols that `settings.feed_symbols` names. Raises BadSetting."""
    return tuple(_parse_symbol(text) for text in settings.feed_symbols)


def _parse_symbol(text: str) -> str:
    symbol = normalize_symbol(text)
    if symbol is None:
        raise BadSetting(
            f"{text!r} in TAPEWIRE_FEED_SYMBOLS is no symbol: "
            "up to 32 letters, digits, . ^ / = - and _"
        )
    return symbol
