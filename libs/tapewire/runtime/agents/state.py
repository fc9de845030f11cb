"""The state of one process of a service: which reports become events. Pure.

A process is an entity of the log at ``ev._all.agents.{service}/{instance}``, whose last part is one
percent-encoded token. Its state is its last event. Start at `decide`.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tapewire.events import AgentState, AgentStatusChanged, Event
from tapewire.log import EVERYBODY, CommandHandler, Decider, EventSubject, NewEvent

DOMAIN = "agents"

State = AgentStatusChanged | None
"""None before the first event."""


class ReportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The process reports that it is in `state`."""

    id: str
    timestamp: datetime
    service: str
    instance: str
    state: AgentState
    detail: str | None


class ReportSilence(msgspec.Struct, frozen=True, kw_only=True):
    """No heartbeat arrived since the process was in `last_status`. Any later status makes this
    void."""

    id: str
    timestamp: datetime
    last_status: AgentStatusChanged
    detail: str


Command = ReportStatus | ReportSilence
AgentCommandHandler = CommandHandler[State, Command]


def agent_entity(service: str, instance: str) -> str:
    """The entity of a process. A service's name contains no ``/``."""
    return f"{service}/{instance}"


def agent_subject(service: str, instance: str) -> EventSubject:
    """The subject of the process's events."""
    return EventSubject(EVERYBODY, DOMAIN, agent_entity(service, instance))


def report_status(status: AgentStatusChanged) -> ReportStatus:
    """The command that reports `status`. The same status has the same id."""
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
    """The command that reports the process as stopped. The same silence has the same id."""
    return ReportSilence(
        id=f"{agent_entity(last_status.service, last_status.instance)}.silent",
        timestamp=timestamp,
        last_status=last_status,
        detail=detail,
    )


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """The event that `command` results in; none if it changes nothing."""
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
    """The last event is the state."""
    return event if isinstance(event, AgentStatusChanged) else state


AGENT_DECIDER: Decider[State, Command] = Decider(initial_state=None, decide=decide, evolve=evolve)
