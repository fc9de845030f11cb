"""The service processes: all that run, and those that stopped last.

There is one such view, owned by `_all`.
"""

from typing import ClassVar, Self

from tapewire.events import CODEC, AgentState, AgentStatusChanged, Event

MAX_STOPPED_AGENTS = 50
"""Stopped processes that the view retains."""


class AgentsView:
    """The processes of all services."""

    domain: ClassVar[str] = "agents"

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], AgentStatusChanged] = {}
        self._stopped: dict[tuple[str, str], AgentStatusChanged] = {}

    def apply(self, event: Event) -> None:
        """Apply one event of the agents."""
        if isinstance(event, AgentStatusChanged):
            self._upsert(event)

    def agents(self) -> list[AgentStatusChanged]:
        """The last status of each process, the stopped ones first. Within each group, the one that
        changed most recently is last."""
        return [*self._stopped.values(), *self._active.values()]

    def encode(self) -> bytes:
        return CODEC.encode(self.agents())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        view = cls()
        for status in CODEC.decode(data, list[AgentStatusChanged]):
            view._upsert(status)
        return view

    def _upsert(self, status: AgentStatusChanged) -> None:
        name = (status.service, status.instance)
        self._active.pop(name, None)
        self._stopped.pop(name, None)
        if status.state is not AgentState.STOPPED:
            self._active[name] = status
            return
        self._stopped[name] = status
        if len(self._stopped) > MAX_STOPPED_AGENTS:
            del self._stopped[next(iter(self._stopped))]
