"""The event log in memory, with the behaviour and the faults of the real one.

It serves tests, simulations and first steps. `MemoryServer` outlives processes; each process has a
`MemoryEventLog` and `MemoryLatestValueStore`s, each with a connection of its own. `Faults` injects
failures from a seed, so a failing run can be repeated. The only clock is that of the running loop:
in a loop with virtual time everything is deterministic.

Start at `server`. `journal` stores events, `connection` delivers and loses them, `durable`
implements durable subscriptions.
"""

from tapewire.log.memory.event_log import MemoryEventLog
from tapewire.log.memory.faults import Faults
from tapewire.log.memory.latest_values import MemoryLatestValueStore
from tapewire.log.memory.server import MemoryServer

__all__ = ["Faults", "MemoryEventLog", "MemoryLatestValueStore", "MemoryServer"]
