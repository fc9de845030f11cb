"""Analysed items, and what a user wants to see of them.

Items live at ``ev._all.items.{id}``, for everybody to see; configurations at
``ev.{user}.configurations.{id}``.
"""

import enum
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events.catalogue import Event, event


class Sentiment(enum.Enum):
    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something published about the market. `score` is from -1 (bad) to 1 (good)."""

    id: str
    title: str
    source: str
    url: str | None
    tickers: tuple[str, ...]
    tags: tuple[str, ...]
    sentiment: Sentiment
    score: Decimal
    timestamp: datetime


@event("item.analysed")
class ItemAnalysed(Event, frozen=True, kw_only=True):
    """An item arrived and is known to be good, bad or neither; `scored` says that Tapewire said so,
    not its source."""

    item: Item
    scored: bool


class TagCount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many items have the tag."""

    tag: str
    count: int


class Metrics(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The counts of all items, at `timestamp`. `tags` are the most frequent ones, the most frequent
    first; `other_tags` counts those that items have beside them. `last_hour` and `last_day` count
    the items published in the last 60 minutes and 24 hours, by whole minutes, the one that is
    running included; `per_hour` is the mean of that day, items an hour."""

    total: int
    positive: int
    neutral: int
    negative: int
    tags: tuple[TagCount, ...]
    other_tags: int
    last_hour: int
    last_day: int
    per_hour: Decimal
    timestamp: datetime


class Configuration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a user's dashboard shows: items of any of `tickers`, with any of `tags` if there are
    some."""

    id: str
    name: str
    tickers: tuple[str, ...]
    tags: tuple[str, ...]
    timestamp: datetime


class ConfigurationEvent(Event, frozen=True, kw_only=True):
    """The configuration after the event, and the command that caused it."""

    configuration: Configuration
    command_id: str


@event("configuration.created")
class ConfigurationCreated(ConfigurationEvent, frozen=True, kw_only=True):
    """A user made it."""


@event("configuration.changed")
class ConfigurationChanged(ConfigurationEvent, frozen=True, kw_only=True):
    """Its name, tickers or tags were changed."""


@event("configuration.deleted")
class ConfigurationDeleted(ConfigurationEvent, frozen=True, kw_only=True):
    """It is no more."""
