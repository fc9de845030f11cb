"""Builders for tests of configurations and items.

A test of configurations reads `given(commands).when(command).then(lines)`.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import ConfigurationEvent, Item, ItemAnalysed, Sentiment
from tapewire.log import CommandRejected, NewEvent
from tapewire.runtime.contracts.insights import NewItem
from tapewire_services.insights.domain.configurations import (
    CONFIGURATION_DECIDER,
    Change,
    Command,
    Create,
    Delete,
    State,
)
from tapewire_services.insights.domain.items import build_item_analysed, validate_item
from tests.harness.command_history import CommandHistory

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
USER = "alice"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def new_item(title: str = "IBM beats estimates", source: str = "Wire", **more: Any) -> NewItem:
    return NewItem(title=title, source=source, **more)


def stored_item(item: NewItem, score: str = "0.5") -> Item:
    """The stored form of an item that a scorer gave `score`."""
    return build_item_analysed(validate_item(item, START), Decimal(score)).item


def rejection_of(item: NewItem) -> tuple[str | None, str]:
    """The path and the message with which the item is rejected."""
    with pytest.raises(CommandRejected) as refused:
        validate_item(item, START)
    assert refused.value.code == "invalid"
    return refused.value.path, refused.value.message


def item_analysed(
    number: int = 0,
    *,
    sentiment: Sentiment = Sentiment.NEUTRAL,
    tickers: tuple[str, ...] = ("IBM",),
    tags: tuple[str, ...] = (),
    when: datetime = START,
) -> ItemAnalysed:
    item = Item(
        id=f"i{number}",
        title=f"Story {number}",
        source="Wire",
        url=None,
        tickers=tickers,
        tags=tags,
        sentiment=sentiment,
        score=Decimal(0),
        timestamp=when,
    )
    return ItemAnalysed(item=item, scored=True)


def create(
    id: str = "c",  # noqa: A002
    *,
    name: str = "Tech",
    tickers: tuple[str, ...] = ("IBM",),
    tags: tuple[str, ...] = (),
) -> Create:
    return Create(
        id=id, at=START, user=USER, configuration_id="k", name=name, tickers=tickers, tags=tags
    )


def change(id: str = "h", second: float = 5, **what: Any) -> Change:  # noqa: A002
    return Change(id=id, at=at(second), user=USER, **what)


def delete(id: str = "d") -> Delete:  # noqa: A002
    return Delete(id=id, at=at(9), user=USER)


def describe_event(new_event: NewEvent) -> str:
    assert isinstance(new_event.event, ConfigurationEvent)
    assert str(new_event.subject) == "ev.alice.configurations.k"
    of = new_event.event.configuration
    name = type(new_event.event).__name__.removeprefix("Configuration").lower()
    return f"{name} {of.name}: {','.join(of.tickers)} / {','.join(of.tags)}"


class ConfigurationHistory(CommandHistory[State, Command]):
    decider = CONFIGURATION_DECIDER
    describe = staticmethod(describe_event)


def given(*commands: Command) -> ConfigurationHistory:
    return ConfigurationHistory(commands)
