"""The state of service processes."""

import enum
from datetime import datetime
from typing import Annotated

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import UTC_TIME, about


class AgentState(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPED = "stopped"


@event("agent.status", subject="ev._all.agents.{service/instance}")
class AgentStatusChanged(Event, frozen=True, kw_only=True):
    """A process of a service entered `state`; `detail` gives the reason for an abnormal one."""

    service: Annotated[str, about("which service")]
    instance: Annotated[str, about("which process of it")]
    state: Annotated[AgentState, about("what it is now")]
    detail: Annotated[str | None, about("why, when it is not a good state")]
    timestamp: Annotated[datetime, about("since when", UTC_TIME)]
