"""What services say of themselves, and who says it for those that cannot any more (ADR 0005).

`Announcer` runs in every process: it appends each change of the process's state to the log, and
sends a heartbeat. `Watch` runs in one of them, under a lease: it appends `stopped` for whoever has
been silent for too long. `state` decides what is worth an event, and is pure. Start at `announcer`.
"""

from tapewire.runtime.agents.monitor import LEASE, AgentMonitor
from tapewire.runtime.agents.state import agent_entity, agent_subject
from tapewire.runtime.agents.status_reporter import AgentStatusReporter, HealthCheck

__all__ = [
    "LEASE",
    "AgentMonitor",
    "AgentStatusReporter",
    "HealthCheck",
    "agent_entity",
    "agent_subject",
]
