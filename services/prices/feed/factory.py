"""Makes the feed that the settings ask for."""

from pathlib import Path
from typing import cast

from structlog.typing import FilteringBoundLogger

from tapewire.runtime import BadSetting, Settings
from tapewire_services.prices.domain import RandomWalk, normalize_symbol
from tapewire_services.prices.feed.port import HEARTBEAT_SECONDS, FeedError, TickSource
from tapewire_services.prices.feed.recording_file import RecordingFile
from tapewire_services.prices.feed.replay_feed import EndBehavior, ReplayFeed


def create_replay_feed(settings: Settings, logger: FilteringBoundLogger) -> ReplayFeed:
    """Return a feed of the recording that `settings.feed` names, or of the random walk.

    Raises:
        BadSetting: The recording cannot be played, a symbol is malformed, or the speed is not
            positive.
    """
    symbols = tuple(_parse_symbol(text) for text in settings.feed_symbols)
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
            heartbeat_seconds=HEARTBEAT_SECONDS,
        )
    except FeedError as error:
        raise BadSetting(str(error)) from error


def _parse_symbol(text: str) -> str:
    symbol = normalize_symbol(text)
    if symbol is None:
        raise BadSetting(
            f"{text!r} in TAPEWIRE_FEED_SYMBOLS is no symbol: "
            "up to 32 letters, digits, . ^ / = - and _"
        )
    return symbol
