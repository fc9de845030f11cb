"""The language of a decider's tests: `given(commands).when(command).then(lines)`.

A module of builders subclasses `CommandHistory` for its decider, and its `given` makes one. A line
is an event as the subclass's `describe` prints it.
"""

from collections.abc import Iterable
from typing import Any, Generic, Self, TypeVar

import pytest

from tapewire.events import Event
from tapewire.log import Command, CommandRejected, Decider, NewEvent

S = TypeVar("S")
C = TypeVar("C", bound=Command)


class CommandHistory(Generic[S, C]):
    """Commands on one entity, each decided on the state after the earlier ones.

    A subclass sets `decider` and `describe`.
    """

    decider: Decider[S, C]

    @staticmethod
    def describe(new_event: NewEvent) -> str:
        """The event on one line."""
        raise NotImplementedError

    def __init__(self, commands: Iterable[C] = ()) -> None:
        self.state = self.decider.initial_state
        self.new_events: list[NewEvent] = []
        for command in commands:
            self.decide(command)

    @property
    def events(self) -> list[Event]:
        return [new_event.event for new_event in self.new_events]

    def decide(self, command: C) -> list[NewEvent]:
        """Decide `command` and fold the entity's own events, which a decider returns first."""
        new_events = list(self.decider.decide(self.state, command))
        for new_event in new_events:
            if new_event.subject == new_events[0].subject:
                self.state = self.decider.evolve(self.state, new_event.event)
        self.new_events += new_events
        return new_events

    def when(self, command: C) -> "PendingCommand[Self, C]":
        return PendingCommand(self, command)


H = TypeVar("H", bound=CommandHistory[Any, Any])


class PendingCommand(Generic[H, C]):
    """A command that `then` or `then_rejected` decides on the history."""

    def __init__(self, history: H, command: C) -> None:
        self._history = history
        self._command = command

    def then(self, *lines: str) -> H:
        """The decision's events, by their lines; no line for a command that changes nothing."""
        new_events = self._history.decide(self._command)
        assert [self._history.describe(new_event) for new_event in new_events] == [*lines]
        return self._history

    def then_rejected(self, code: str, path: str | None = None, *, message: str = "") -> H:
        """The rejection's code and path, and a part of its message."""
        with pytest.raises(CommandRejected) as caught:
            self._history.decide(self._command)
        assert (caught.value.code, caught.value.path) == (code, path)
        assert message in caught.value.message
        return self._history
