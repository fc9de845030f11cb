"""A configuration: its states, and what is decided. Start at `decide`; `CONFIGURATIONS` is the
decider.

A configuration is Absent, Kept or Deleted. Paths in refusals are the fields as requests spell them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from services.insights.domain import texts
from tapewire.events import (
    Configuration,
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
    ConfigurationEvent,
    Event,
)
from tapewire.log import Decider, Happening, Refusal, Subject

DOMAIN = "configurations"
NAME_CHARACTERS = 80
MOST_TICKERS = 50
SEEN_COMMANDS = 16
"""Command ids a configuration remembers: far more than retry at the same time."""


class Create(msgspec.Struct, frozen=True, kw_only=True):
    """`user` wants it. `at` is when, UTC, as in every command."""

    id: str
    at: datetime
    user: str
    configuration_id: str
    name: str
    tickers: tuple[str, ...]
    tags: tuple[str, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is given shall be so from now on."""

    id: str
    at: datetime
    user: str
    name: str | None = None
    tickers: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """It shall be no more."""

    id: str
    at: datetime
    user: str


Command = Create | Change | Delete


class Absent(msgspec.Struct, frozen=True):
    """No event yet."""


class Kept(msgspec.Struct, frozen=True):
    """There; `seen` are the ids of commands."""

    configuration: Configuration
    seen: tuple[str, ...]


class Deleted(msgspec.Struct, frozen=True):
    """No more, by command `by`."""

    configuration: Configuration
    by: str


State = Absent | Kept | Deleted


def configuration_id(user: str, command_id: str) -> str:
    """The id of the configuration that `user` makes by that command."""
    return texts.named("configuration", user, command_id)


def decide(state: State, command: Command) -> Sequence[Happening]:
    """What `command` makes happen; nothing when it was decided before, or changes nothing.

    Raises:
        Refusal: invalid (with a path), not_found.
    """
    if isinstance(command, Create):
        return _create(state, command)
    if isinstance(state, Deleted) and isinstance(command, Delete) and state.by == command.id:
        return []
    if not isinstance(state, Kept):
        raise Refusal("not_found", "there is no such configuration")
    if command.id in state.seen:
        return []
    match command:
        case Change():
            return _change(state.configuration, command)
        case Delete():
            gone = _at(state.configuration, command.at)
            event = ConfigurationDeleted(configuration=gone, command_id=command.id)
            return [_happening(command, event)]
        case _:
            assert_never(command)


def _create(state: State, command: Create) -> Sequence[Happening]:
    configuration = Configuration(
        id=command.configuration_id,
        name=_name(command.name),
        tickers=_tickers(command.tickers),
        tags=texts.tags("tags", command.tags),
        timestamp=command.at,
    )
    if not isinstance(state, Absent):
        return []
    event = ConfigurationCreated(configuration=configuration, command_id=command.id)
    return [_happening(command, event)]


def _change(before: Configuration, command: Change) -> Sequence[Happening]:
    after = msgspec.structs.replace(
        before,
        name=before.name if command.name is None else _name(command.name),
        tickers=before.tickers if command.tickers is None else _tickers(command.tickers),
        tags=before.tags if command.tags is None else texts.tags("tags", command.tags),
    )
    if after == before:
        return []
    event = ConfigurationChanged(configuration=_at(after, command.at), command_id=command.id)
    return [_happening(command, event)]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the configuration's own subject."""
    if not isinstance(event, ConfigurationEvent):
        return state
    if isinstance(event, ConfigurationDeleted):
        return Deleted(event.configuration, event.command_id)
    before = state.seen if isinstance(state, Kept) else ()
    return Kept(event.configuration, (*before[1 - SEEN_COMMANDS :], event.command_id))


CONFIGURATIONS: Decider[State, Command] = Decider(initial=Absent(), decide=decide, evolve=evolve)


def _name(value: str) -> str:
    return texts.one_line("name", value, NAME_CHARACTERS)


def _tickers(values: Sequence[str]) -> tuple[str, ...]:
    """Without a ticker it would show nothing, ever."""
    if not values:
        raise Refusal("invalid", "tickers must name at least one", "tickers")
    return texts.tickers("tickers", values, MOST_TICKERS)


def _at(configuration: Configuration, at: datetime) -> Configuration:
    """Its time never goes back, whichever clocks the commands come from."""
    return msgspec.structs.replace(configuration, timestamp=max(configuration.timestamp, at))


def _happening(command: Command, event: ConfigurationEvent) -> Happening:
    return Happening(Subject(command.user, DOMAIN, event.configuration.id), event)
