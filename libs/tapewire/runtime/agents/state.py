"""The state of one instance of a service: when a word about it is news. Pure.

An instance is an entity of the log at ``ev._all.agents.{service}/{instance}``, the last part one
percent-encoded token. Its state is simply its last event.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tapewire.events import AgentState, AgentStatusChanged, Event
from tapewire.log import EVERYBODY, CommandHandler, Decider, EventSubject, NewEvent

DOMAIN = "agents"

State = AgentStatusChanged | None
"""None: never heard of."""


class ReportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The instance says that it is in `state`."""

    id: str
    timestamp: datetime
    service: str
    instance: str
    state: AgentState
    detail: str | None


class ReportSilence(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was heard of the instance since it was as in `seen`; true of nothing later."""

    id: str
    timestamp: datetime
    last_status: AgentStatusChanged
    detail: str


Command = ReportStatus | ReportSilence
AgentCommandHandler = CommandHandler[State, Command]


def agent_entity(service: str, instance: str) -> str:
    """The name of an instance in the log; a service's own name has no ``/``."""
    return f"{service}/{instance}"


def agent_subject(service: str, instance: str) -> EventSubject:
    """Where the instance's events live."""
    return EventSubject(EVERYBODY, DOMAIN, agent_entity(service, instance))


def report_status(status: AgentStatusChanged) -> ReportStatus:
    """The command to say `status`, always under the same id."""
    return ReportStatus(
        id=f"{agent_entity(status.service, status.instance)}.{status.state.value}",
        timestamp=status.timestamp,
        service=status.service,
        instance=status.instance,
        state=status.state,
        detail=status.detail,
    )


def report_silence(
    last_status: AgentStatusChanged, detail: str, timestamp: datetime
) -> ReportSilence:
    """The command to say that who was `seen` has stopped, always under the same id."""
    return ReportSilence(
        id=f"{agent_entity(last_status.service, last_status.instance)}.silent",
        timestamp=timestamp,
        last_status=last_status,
        detail=detail,
    )


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """The event that `command` is worth; none when nothing changes by it."""
    if isinstance(command, ReportSilence):
        if state != command.last_status or state.state is AgentState.STOPPED:
            return []
        return [_status_changed(state.service, state.instance, AgentState.STOPPED, command.detail,
                        max(state.timestamp, command.timestamp))]  # fmt: skip
    if state is not None and (state.state, state.detail) == (command.state, command.detail):
        return []
    at = command.timestamp if state is None else max(state.timestamp, command.timestamp)
    return [_status_changed(command.service, command.instance, command.state, command.detail, at)]


def _status_changed(
    service: str, instance: str, state: AgentState, detail: str | None, timestamp: datetime
) -> NewEvent:
    event = AgentStatusChanged(
        service=service, instance=instance, state=state, detail=detail, timestamp=timestamp
    )
    return NewEvent(agent_subject(service, instance), event)


def evolve(state: State, event: Event) -> State:
    """The last word counts."""
    return event if isinstance(event, AgentStatusChanged) else state


AGENT_DECIDER: Decider[State, Command] = Decider(initial_state=None, decide=decide, evolve=evolve)
