"""What services say of themselves."""

import enum
from datetime import datetime

from tapewire.events.catalogue import Event, event


class AgentState(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPED = "stopped"


@event("agent.status")
class AgentStatusChanged(Event, frozen=True, kw_only=True):
    """One instance of a service entered `state`; `detail` says why when it is not a good one."""

    service: str
    instance: str
    state: AgentState
    detail: str | None
    timestamp: datetime
