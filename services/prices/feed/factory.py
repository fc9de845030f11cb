"""Makes the feed that the settings ask for."""

from pathlib import Path
from typing import cast

from structlog.typing import FilteringBoundLogger

from tapewire.runtime import BadSetting, Settings
from tapewire.values import InvalidValue, resolve_symbol, validate_symbol
from tapewire_services.prices.domain import RandomWalk
from tapewire_services.prices.domain.random_walk import PROFILES
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
            else RandomWalk(
                settings.feed_seed,
                [resolve_symbol(symbol, PROFILES.__contains__) for symbol in symbols],
            )
        )
        return ReplayFeed(
            source,
            logger=logger,
            speed=settings.feed_speed,
            end=cast("EndBehavior", settings.feed_end),
            symbols=symbols if settings.feed else (),
            heartbeat_seconds=HEARTBEAT_SECONDS,
        )
    except FeedError as error:
        raise BadSetting(str(error)) from error


def _parse_symbol(text: str) -> str:
    try:
        return validate_symbol("a symbol in TAPEWIRE_FEED_SYMBOLS", text.strip())
    except InvalidValue as error:
        raise BadSetting(str(error)) from None
