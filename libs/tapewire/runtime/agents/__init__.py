"""The state of every service process: reported by itself, or by a monitor if it fell silent.

`AgentStatusReporter` runs in every process: it appends each change of the process's state to the
log and sends heartbeats. `AgentMonitor` runs in one process under a lease: it appends `stopped` for
processes without heartbeats. `state` decides which reports become events, and is pure. Decision
record 0005 has the reasons. Start at `status_reporter`.
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
