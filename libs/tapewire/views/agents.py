"""The services: every instance that runs, and those that stopped last.

Owned by everybody (`_all`): there is one such view.
"""

from typing import ClassVar, Self

from tapewire.events import CODEC, AgentState, AgentStatusChanged, Event

MAX_STOPPED_AGENTS = 50
"""Stopped instances that the view still shows."""


class AgentsView:
    """The fold. `AgentsView()` has seen no event."""

    domain: ClassVar[str] = "agents"

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], AgentStatusChanged] = {}
        self._stopped: dict[tuple[str, str], AgentStatusChanged] = {}

    def apply(self, event: Event) -> None:
        """Fold one event of the services, in the order of the log."""
        if isinstance(event, AgentStatusChanged):
            self._upsert(event)

    def agents(self) -> list[AgentStatusChanged]:
        """The last word of each instance: the stopped ones first, then the others; the one whose
        state changed most recently is the last of its kind."""
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
