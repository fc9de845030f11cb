"""The event log in memory: a fake worth shipping, for tests, simulations and first steps.

`MemoryServer` is what outlives processes; `MemoryLog` and `MemoryValues` are what one process has
of it, each over a connection of its own. With `Faults` it goes wrong as the real one does, decided
by a seed, so that a failure can be played again. It uses the running loop's clock and nothing else,
so that a loop with virtual time makes all of it deterministic.

Start at `server`; `journal` is what is stored, `connection` what goes wrong on the way,
`reactions` the durable consumers.
"""

from tapewire.log.memory.event_log import MemoryEventLog
from tapewire.log.memory.faults import Faults
from tapewire.log.memory.latest_values import MemoryLatestValueStore
from tapewire.log.memory.server import MemoryServer

__all__ = ["Faults", "MemoryEventLog", "MemoryLatestValueStore", "MemoryServer"]
