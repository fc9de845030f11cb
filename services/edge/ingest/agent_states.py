"""The newest status of each process of the services, folded from the log.

The view is loaded at the end of the log and kept current by the log tail's events. Start reading at
`AgentStates.run`.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from tapewire.events import AgentStatusChanged
from tapewire.log import EVERYBODY, LatestValueStore, RecordedEvent
from tapewire.log.backoff import retry
from tapewire.log.view_checkpoints import apply_event
from tapewire.views import AgentsView
from tapewire_services.edge.ingest.log_tail import LogTail

logger = structlog.get_logger("edge.agent_states")


class AgentStates:
    """Run it with `run`. `on_change` is called with the key of each process that changed."""

    def __init__(
        self,
        *,
        views: LatestValueStore,
        log_tail: LogTail,
        on_change: Callable[[str], object],
        rng: random.Random,
    ) -> None:
        self._views = views
        self._log_tail = log_tail
        self._on_change = on_change
        self._rng = rng
        self._view: AgentsView | None = None
        self._reload_requested = asyncio.Event()
        log_tail.subscribe(self._apply, domain=AgentsView.domain)
        log_tail.subscribe_recreated(self._on_log_recreated)

    async def run(self) -> None:
        """Load the view, again whenever the log was recreated, until cancelled."""
        await self._log_tail.ready.wait()
        while True:
            self._reload_requested.clear()
            self._view = await retry(
                lambda: self._log_tail.load_view(self._views, AgentsView, EVERYBODY),
                self._rng,
                logger,
                "agent_states.load_failed",
            )
            for key in self.current():
                self._on_change(key)
            await self._reload_requested.wait()

    def current(self) -> dict[str, AgentStatusChanged]:
        """The newest status of each process by its key; none until they are loaded."""
        agents = [] if self._view is None else self._view.agents()
        return {_key(one): one for one in agents}

    def _apply(self, recorded: RecordedEvent) -> None:
        if self._view is None or recorded.event_subject.owner != EVERYBODY:
            return
        apply_event(self._view, recorded)
        if isinstance(recorded.event, AgentStatusChanged):
            self._on_change(_key(recorded.event))

    def _on_log_recreated(self) -> None:
        self._view = None
        self._reload_requested.set()


def _key(status: AgentStatusChanged) -> str:
    return f"{status.service}/{status.instance}"
