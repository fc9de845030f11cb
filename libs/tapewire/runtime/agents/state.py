"""The state of one instance of a service: when a word about it is news. Pure.

An instance is an entity of the log at ``ev._all.agents.{service}/{instance}``, the last part one
percent-encoded token. Its state is simply its last event.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tapewire.events import AgentState, AgentStatusChanged, Event
from tapewire.log import EVERYBODY, Decider, Entities, Happening, Subject

DOMAIN = "agents"

State = AgentStatusChanged | None
"""None: never heard of."""


class Announce(msgspec.Struct, frozen=True, kw_only=True):
    """The instance says that it is in `state`."""

    id: str
    at: datetime
    service: str
    instance: str
    state: AgentState
    detail: str | None


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was heard of the instance since it was as in `seen`; true of nothing later."""

    id: str
    at: datetime
    seen: AgentStatusChanged
    detail: str


Command = Announce | Silence
Agents = Entities[State, Command]


def entity(service: str, instance: str) -> str:
    """The name of an instance in the log; a service's own name has no ``/``."""
    return f"{service}/{instance}"


def subject(service: str, instance: str) -> Subject:
    """Where the instance's events live."""
    return Subject(EVERYBODY, DOMAIN, entity(service, instance))


def announce(status: AgentStatusChanged) -> Announce:
    """The command to say `status`, always under the same id."""
    return Announce(
        id=f"{entity(status.service, status.instance)}.{status.state.value}",
        at=status.timestamp,
        service=status.service,
        instance=status.instance,
        state=status.state,
        detail=status.detail,
    )


def silence(seen: AgentStatusChanged, detail: str, at: datetime) -> Silence:
    """The command to say that who was `seen` has stopped, always under the same id."""
    return Silence(id=f"{entity(seen.service, seen.instance)}.silent", at=at, seen=seen,
                   detail=detail)  # fmt: skip


def decide(state: State, command: Command) -> Sequence[Happening]:
    """The event that `command` is worth; none when nothing changes by it."""
    if isinstance(command, Silence):
        if state != command.seen or state.state is AgentState.STOPPED:
            return []
        return [_happen(state.service, state.instance, AgentState.STOPPED, command.detail,
                        max(state.timestamp, command.at))]  # fmt: skip
    if state is not None and (state.state, state.detail) == (command.state, command.detail):
        return []
    at = command.at if state is None else max(state.timestamp, command.at)
    return [_happen(command.service, command.instance, command.state, command.detail, at)]


def _happen(
    service: str, instance: str, state: AgentState, detail: str | None, at: datetime
) -> Happening:
    event = AgentStatusChanged(
        service=service, instance=instance, state=state, detail=detail, timestamp=at
    )
    return Happening(subject(service, instance), event)


def evolve(state: State, event: Event) -> State:
    """The last word counts."""
    return event if isinstance(event, AgentStatusChanged) else state


AGENTS: Decider[State, Command] = Decider(initial=None, decide=decide, evolve=evolve)
