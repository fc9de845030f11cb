"""Analysed items, and the configurations that select them.

Items have the subjects ``ev._all.items.{id}``, which every user may see; configurations have
``ev.{user}.configurations.{id}``.
"""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import UTC_TIME, about


class Sentiment(enum.Enum):
    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A publication about the market. `score` is from -1 (bad) to 1 (good). A retracted item is
    not shown any more."""

    id: Annotated[str, about("its id")]
    title: Annotated[str, about("its headline")]
    source: Annotated[str, about("who published it")]
    url: Annotated[str | None, about("where it can be read")]
    tickers: Annotated[tuple[str, ...], about("the symbols that it is about")]
    tags: Annotated[tuple[str, ...], about("words that it is filed under")]
    sentiment: Annotated[Sentiment, about("whether it is good news")]
    score: Annotated[Decimal, about("how good, from -1 to 1")]
    timestamp: Annotated[datetime, about("when it was published", UTC_TIME)]
    retracted: Annotated[bool, about("whether its publisher withdrew it")] = False


@event("item.analysed", subject="ev._all.items.{id}")
class ItemAnalysed(Event, frozen=True, kw_only=True):
    """An item arrived with its sentiment. `scored` is true if Tapewire determined the sentiment
    instead of the item's source."""

    item: Annotated[Item, about("the item")]
    scored: Annotated[bool, about("whether Tapewire scored it, and not its source")]


class ItemChangedEvent(Event, frozen=True, kw_only=True):
    """The item before and after the event. `number` is its position in the list of all items, in
    the order of the journal, from 0."""

    item: Annotated[Item, about("the item as it is afterwards")]
    previous: Annotated[Item, about("the item as it was before")]
    number: Annotated[int, about("its position in the list of all items, from 0")]
    reason: Annotated[str, about("why, as its publisher says")] = ""


@event("item.corrected", subject="ev._all.items.{id}")
class ItemCorrected(ItemChangedEvent, frozen=True, kw_only=True):
    """The content of an item was replaced."""


@event("item.retracted", subject="ev._all.items.{id}")
class ItemRetracted(ItemChangedEvent, frozen=True, kw_only=True):
    """An item was withdrawn: it is in no list and no count any more."""


class TagCount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The number of items with a tag."""

    tag: str
    count: int


class Metrics(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts of all items at `timestamp`.

    `tags` are the most frequent ones, the most frequent first; `other_tags` counts the other tags
    of items. `last_hour` and `last_day` count the items published in the last 60 minutes and 24
    hours, in whole minutes, the current minute included. `per_hour` is the mean of that day, in
    items an hour.
    """

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
    """A user's selection of items: those with any of `tickers` and, if `tags` is not empty, any of
    `tags`."""

    id: Annotated[str, about("its id")]
    name: Annotated[str, about("what its user calls it")]
    tickers: Annotated[tuple[str, ...], about("items about any of these are shown")]
    tags: Annotated[
        tuple[str, ...], about("and of those only with any of these, if there are some")
    ]
    timestamp: Annotated[datetime, about("when it last changed", UTC_TIME)]


class ConfigurationEvent(Event, frozen=True, kw_only=True):
    """The configuration after the event, and the id of the command that caused it."""

    configuration: Annotated[Configuration, about("the configuration as it is afterwards")]
    command_id: Annotated[str, about("the command that caused it")]


@event("configuration.created", subject="ev.{user}.configurations.{id}")
class ConfigurationCreated(ConfigurationEvent, frozen=True, kw_only=True):
    """A user created the configuration."""


@event("configuration.changed", subject="ev.{user}.configurations.{id}")
class ConfigurationChanged(ConfigurationEvent, frozen=True, kw_only=True):
    """Its name, tickers or tags were changed."""


@event("configuration.deleted", subject="ev.{user}.configurations.{id}")
class ConfigurationDeleted(ConfigurationEvent, frozen=True, kw_only=True):
    """The configuration was deleted."""
