"""A configuration: its states, and what is decided. Start at `decide`; `CONFIGURATIONS` is the
decider.

A configuration is Absent, Kept or Deleted. Paths in refusals are the fields as requests spell them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from tapewire.events import (
    Configuration,
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
    ConfigurationEvent,
    Event,
)
from tapewire.log import CommandRejected, Decider, EventSubject, NewEvent, derive_id
from tapewire_services.insights.domain import text_validation

DOMAIN = "configurations"
MAX_NAME_CHARACTERS = 80
MAX_TICKERS = 50
MAX_REMEMBERED_COMMANDS = 16
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


class Active(msgspec.Struct, frozen=True):
    """There; `seen` are the ids of commands."""

    configuration: Configuration
    command_ids: tuple[str, ...]


class Deleted(msgspec.Struct, frozen=True):
    """No more, by command `by`."""

    configuration: Configuration
    command_id: str


State = Absent | Active | Deleted


def derive_configuration_id(user: str, command_id: str) -> str:
    """The id of the configuration that `user` makes by that command."""
    return derive_id("configuration", user, command_id)


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """What `command` makes happen; nothing when it was decided before, or changes nothing.

    Raises:
        Refusal: invalid (with a path), not_found.
    """
    if isinstance(command, Create):
        return _decide_create(state, command)
    if (
        isinstance(state, Deleted)
        and isinstance(command, Delete)
        and state.command_id == command.id
    ):
        return []
    if not isinstance(state, Active):
        raise CommandRejected("not_found", "there is no such configuration")
    if command.id in state.command_ids:
        return []
    match command:
        case Change():
            return _decide_change(state.configuration, command)
        case Delete():
            gone = _with_timestamp(state.configuration, command.at)
            event = ConfigurationDeleted(configuration=gone, command_id=command.id)
            return [_build_new_event(command, event)]
        case _:
            assert_never(command)


def _decide_create(state: State, command: Create) -> Sequence[NewEvent]:
    configuration = Configuration(
        id=command.configuration_id,
        name=_validate_name(command.name),
        tickers=_validate_tickers(command.tickers),
        tags=text_validation.validate_tags("tags", command.tags),
        timestamp=command.at,
    )
    if not isinstance(state, Absent):
        return []
    event = ConfigurationCreated(configuration=configuration, command_id=command.id)
    return [_build_new_event(command, event)]


def _decide_change(current: Configuration, command: Change) -> Sequence[NewEvent]:
    after = msgspec.structs.replace(
        current,
        name=current.name if command.name is None else _validate_name(command.name),
        tickers=current.tickers if command.tickers is None else _validate_tickers(command.tickers),
        tags=current.tags
        if command.tags is None
        else text_validation.validate_tags("tags", command.tags),
    )
    if after == current:
        return []
    event = ConfigurationChanged(
        configuration=_with_timestamp(after, command.at), command_id=command.id
    )
    return [_build_new_event(command, event)]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the configuration's own subject."""
    if not isinstance(event, ConfigurationEvent):
        return state
    if isinstance(event, ConfigurationDeleted):
        return Deleted(event.configuration, event.command_id)
    before = state.command_ids if isinstance(state, Active) else ()
    return Active(event.configuration, (*before[1 - MAX_REMEMBERED_COMMANDS :], event.command_id))


CONFIGURATION_DECIDER: Decider[State, Command] = Decider(
    initial_state=Absent(), decide=decide, evolve=evolve
)


def _validate_name(value: str) -> str:
    return text_validation.validate_line("name", value, MAX_NAME_CHARACTERS)


def _validate_tickers(values: Sequence[str]) -> tuple[str, ...]:
    """Without a ticker it would show nothing, ever."""
    if not values:
        raise CommandRejected("invalid", "tickers must name at least one", "tickers")
    return text_validation.validate_tickers("tickers", values, MAX_TICKERS)


def _with_timestamp(configuration: Configuration, at: datetime) -> Configuration:
    """Its time never goes back, whichever clocks the commands come from."""
    return msgspec.structs.replace(configuration, timestamp=max(configuration.timestamp, at))


def _build_new_event(command: Command, event: ConfigurationEvent) -> NewEvent:
    return NewEvent(EventSubject(command.user, DOMAIN, event.configuration.id), event)
