"""The decider of a configuration: which items a user wants to see.

A configuration is `Absent`, `Active` or `Deleted`. The paths of rejections name fields as requests
spell them. Start at `decide`; `CONFIGURATION_DECIDER` is the decider.
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
"""Command ids kept for deduplication: far more than are retried at the same time."""


class Create(msgspec.Struct, frozen=True, kw_only=True):
    """Create a configuration of `user`. In all commands, `at` is the time in UTC."""

    id: str
    at: datetime
    user: str
    configuration_id: str
    name: str
    tickers: tuple[str, ...]
    tags: tuple[str, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Change the fields that are not None."""

    id: str
    at: datetime
    user: str
    name: str | None = None
    tickers: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Delete the configuration."""

    id: str
    at: datetime
    user: str


Command = Create | Change | Delete


class Absent(msgspec.Struct, frozen=True):
    """There is no event yet."""


class Active(msgspec.Struct, frozen=True):
    """The configuration exists. `command_ids` are those of the latest commands."""

    configuration: Configuration
    command_ids: tuple[str, ...]


class Deleted(msgspec.Struct, frozen=True):
    """The command `command_id` has deleted the configuration."""

    configuration: Configuration
    command_id: str


State = Absent | Active | Deleted


def derive_configuration_id(user: str, command_id: str) -> str:
    """Return the id of the configuration that `user` creates by that command."""
    return derive_id("configuration", user, command_id)


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """Return the events of `command`; none if it was handled before or changes nothing.

    Raises:
        CommandRejected: `invalid`, with a path, or `not_found`.
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
            deleted = _with_timestamp(state.configuration, command.at)
            event = ConfigurationDeleted(configuration=deleted, command_id=command.id)
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
    """Fold one event of the configuration's subject."""
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
    """At least one, because a configuration without tickers would match nothing."""
    if not values:
        raise CommandRejected("invalid", "tickers must name at least one", "tickers")
    return text_validation.validate_tickers("tickers", values, MAX_TICKERS)


def _with_timestamp(configuration: Configuration, at: datetime) -> Configuration:
    """Set the timestamp. It never goes back, even if the clocks of two processes differ."""
    return msgspec.structs.replace(configuration, timestamp=max(configuration.timestamp, at))


def _build_new_event(command: Command, event: ConfigurationEvent) -> NewEvent:
    return NewEvent(EventSubject(command.user, DOMAIN, event.configuration.id), event)
