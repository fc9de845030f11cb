"""Makes the feed that the settings ask for."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import cast

from structlog.typing import FilteringBoundLogger

from tapewire.feeds import (
    ENTRY_POINT_GROUP,
    HEARTBEAT_SECONDS,
    FaultLog,
    FeedContext,
    FeedError,
    MarketDataFeed,
)
from tapewire.runtime import BadSetting, Settings
from tapewire.runtime.plugins import create_plugin
from tapewire.values import InvalidValue, resolve_symbol, validate_symbol
from tapewire_services.prices.domain import RandomWalk
from tapewire_services.prices.domain.random_walk import PROFILES
from tapewire_services.prices.feed.recording_file import RecordingFile
from tapewire_services.prices.feed.replay_feed import EndBehavior, ReplayFeed, TickSource

REPLAY = "replay"
"""The name of the entry point of `create_replay_feed`."""


def create_feed(
    settings: Settings, environment: Mapping[str, str], logger: FilteringBoundLogger
) -> tuple[MarketDataFeed, FaultLog]:
    """Return the feed that `settings.feed_source` names, and the counter of its faults.

    Raises:
        BadSetting: There is no such feed, it cannot be made, or a symbol is malformed.
    """
    source = settings.feed_source
    if settings.feed and source not in ("", REPLAY):
        raise BadSetting(
            f"TAPEWIRE_FEED={settings.feed!r} names a recording, and TAPEWIRE_FEED_SOURCE="
            f"{source!r} another feed: unset one of them"
        )
    faults = FaultLog(logger)
    context = FeedContext(
        logger=logger,
        symbols=tuple(_parse_symbol(text) for text in settings.feed_symbols),
        environment=environment,
        faults=faults,
    )
    if not source:
        return create_replay_feed(context), faults
    feed = create_plugin(
        ENTRY_POINT_GROUP, source, context, port=MarketDataFeed, setting="TAPEWIRE_FEED_SOURCE"
    )
    return feed, faults


def create_replay_feed(context: FeedContext) -> ReplayFeed:
    """Return a feed of the recording that ``TAPEWIRE_FEED`` names, or of the random walk.

    Raises:
        BadSetting: The recording cannot be played, or the speed is not positive.
    """
    settings = Settings.from_env(context.environment)
    try:
        source: TickSource = (
            _open_recording(Path(settings.feed), context.symbols)
            if settings.feed
            else RandomWalk(
                settings.feed_seed,
                [resolve_symbol(symbol, PROFILES.__contains__) for symbol in context.symbols],
            )
        )
        return ReplayFeed(
            source,
            logger=context.logger,
            faults=context.faults,
            speed=settings.feed_speed,
            end=cast("EndBehavior", settings.feed_end),
            symbols=context.symbols if settings.feed else (),
            heartbeat_seconds=HEARTBEAT_SECONDS,
        )
    except FeedError as error:
        raise BadSetting(str(error)) from error


def check_recording(settings: Settings) -> None:
    """Raises BadSetting if ``TAPEWIRE_FEED`` names a recording that cannot be played."""
    if settings.feed and settings.feed_source in ("", REPLAY):
        symbols = [_parse_symbol(text) for text in settings.feed_symbols]
        try:
            _open_recording(Path(settings.feed), symbols)
        except FeedError as error:
            raise BadSetting(str(error)) from error


def _open_recording(path: Path, symbols: Collection[str]) -> RecordingFile:
    """The recording, which has a tick of `symbols`. Raises FeedError."""
    recording = RecordingFile(path)
    recording.check_has_tick(symbols)
    return recording


def _parse_symbol(text: str) -> str:
    try:
        return validate_symbol("a symbol in TAPEWIRE_FEED_SYMBOLS", text.strip())
    except InvalidValue as error:
        raise BadSetting(str(error)) from None
