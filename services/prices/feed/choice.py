"""Which feed the settings ask for."""

from pathlib import Path
from typing import cast

from structlog.typing import FilteringBoundLogger

from services.prices.domain import Walk, symbol_of
from services.prices.feed.port import FeedError, Source
from services.prices.feed.recording import Recording
from services.prices.feed.replay import End, Replay
from tapewire.runtime import BadSetting, Settings


def chosen(settings: Settings, logger: FilteringBoundLogger) -> Replay:
    """The recording that `settings.feed` names, or the random walk when it names none.

    Raises:
        BadSetting: the recording cannot be played, or a symbol or the speed is none.
    """
    symbols = wanted(settings)
    try:
        source: Source = (
            Recording(Path(settings.feed)) if settings.feed else Walk(settings.feed_seed, symbols)
        )
        return Replay(
            source,
            logger=logger,
            speed=settings.feed_speed,
            end=cast("End", settings.feed_end),
            wanted=symbols,
        )
    except FeedError as error:
        raise BadSetting(str(error)) from error


def stepped(settings: Settings) -> Source:
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
        return Recording(Path(settings.feed))
    except FeedError as error:
        raise BadSetting(str(error)) from error


def wanted(settings: Settings) -> tuple[str, ...]:
    """The symbols that `settings.feed_symbols` names. Raises BadSetting."""
    return tuple(_symbol(text) for text in settings.feed_symbols)


def _symbol(text: str) -> str:
    symbol = symbol_of(text)
    if symbol is None:
        raise BadSetting(
            f"{text!r} in TAPEWIRE_FEED_SYMBOLS is no symbol: "
            "up to 32 letters, digits, . ^ / = - and _"
        )
    return symbol
