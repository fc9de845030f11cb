"""A process says what state it is in, and that it is still there.

Changes are appended to the log in the order in which they happened; while the log is away they
wait, and only the newest are kept: that it was without NATS, and how it is now. A heartbeat is a
value that is another one each time: whoever watches needs no clock but his own. Each heartbeat also
looks whether the log still says what the process last said, and says it again when not: it was
thought dead, or the log was made anew.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import structlog

from tapewire.events import CODEC, AgentState, AgentStatusChanged
from tapewire.log import Entities, EventLog, LogError, Overloaded, Values, new_id, token
from tapewire.log.patience import Patience, fresh_chance
from tapewire.runtime.agents import state as agents

FAREWELL_SECONDS = 2.0
"""How long a stopping process tries to say so."""
DETAIL_CHARACTERS = 200
WAITING_MOST = 2
"""Changes that wait for a log that is away."""
HEARTBEAT_LIVES = 20
"""Heartbeats after which the last one of a process is forgotten: each host and pid has a key of its
own, and each look reads them all. That it is gone says nothing of the process."""

Check = Callable[[], str | None]
"""What is wrong with the process, None when nothing is."""

logger = structlog.get_logger("tapewire.agents")


class Heartbeat(msgspec.Struct, frozen=True, rename="camel"):
    """`boot` names the process's life, `beat` counts in it."""

    service: str
    instance: str
    boot: str
    beat: int


class Announcer:
    """One process's. `run` does all; the other methods only say what is wanted."""

    def __init__(
        self,
        log: EventLog,
        heartbeats: Values,
        service: str,
        instance: str,
        *,
        every: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._heartbeats = heartbeats
        self._service = service
        self._instance = instance
        self._every = every
        self._now = now
        self._subject = agents.subject(service, instance)
        self._agents: agents.Agents = Entities(log, agents.AGENTS)
        self._waiting: deque[AgentStatusChanged] = deque()
        self._said: AgentStatusChanged | None = None
        self._sequence = 0
        self._wake = asyncio.Event()
        self._patience = Patience(fresh_chance())
        self._boot, self._beat = new_id(), 0
        self._lost_at: float | None = None
        self.checks: list[Check] = []
        self._say(AgentState.STARTING)

    def ready(self) -> None:
        """The process does its work from now on."""
        self._say_health()

    def connection(self, connected: bool) -> None:
        """NATS was lost, or is back: told when somebody can hear it."""
        clock = asyncio.get_running_loop().time
        if not connected:
            self._lost_at = self._lost_at or clock()
        elif self._lost_at is not None:
            seconds, self._lost_at = clock() - self._lost_at, None
            if self._wanted is not AgentState.STARTING:
                self._say(AgentState.DEGRADED, f"was without NATS for {seconds:.1f} s")
                self._say_health()
            self._wake.set()

    async def run(self) -> None:
        """Announce and beat until cancelled."""
        beat_at = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            await self._announce_waiting()
            if clock() >= beat_at:
                beat_at = clock() + self._every
                await self._beat_once()
                await self._look_at_itself()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat_at):
                    if not self._waiting:
                        await self._wake.wait()

    async def stopped(self, detail: str | None) -> None:
        """Say for the last time what became of the process; gives up after `FAREWELL_SECONDS`.
        `run` must have been cancelled."""
        self._say(AgentState.STOPPED, detail)
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                while self._waiting:
                    await self._append(self._waiting[-1])
                    self._waiting.clear()
        except (LogError, Overloaded, TimeoutError) as error:
            logger.warning("cannot say that it stopped; its silence will", error=repr(error))

    @property
    def _wanted(self) -> AgentState | None:
        last = self._waiting[-1] if self._waiting else self._said
        return None if last is None else last.state

    def _say_health(self) -> None:
        wrong = [found for check in self.checks if (found := check())]
        if wrong:
            self._say(AgentState.DEGRADED, "; ".join(wrong))
        else:
            self._say(AgentState.RUNNING)

    def _say(self, state: AgentState, detail: str | None = None) -> None:
        if self._waiting and (self._waiting[-1].state, self._waiting[-1].detail) == (state, detail):
            return  # it is to be told already
        self._waiting.append(
            AgentStatusChanged(
                service=self._service,
                instance=self._instance,
                state=state,
                detail=None if detail is None else detail[:DETAIL_CHARACTERS],
                timestamp=self._now(),
            )
        )
        self._wake.set()

    async def _announce_waiting(self) -> None:
        while self._waiting:
            try:
                await self._append(self._waiting[0])
            except (LogError, Overloaded) as error:
                logger.warning("cannot say its state yet", error=str(error))
                self._waiting = deque([*self._waiting][-WAITING_MOST:])
                await self._patience.wait()
                return
            self._patience.reset()
            self._waiting.popleft()

    async def _append(self, status: AgentStatusChanged) -> None:
        known = await self._agents.handle(
            self._subject, agents.announce(status), correlation=self._boot
        )
        self._said, self._sequence = status, known.sequence

    async def _beat_once(self) -> None:
        self._beat += 1
        beat = Heartbeat(self._service, self._instance, self._boot, self._beat)
        ttl = math.ceil(self._every * HEARTBEAT_LIVES)
        try:
            await self._heartbeats.put(token(self._subject.entity), CODEC.encode(beat), ttl=ttl)
        except LogError as error:
            logger.info("nobody hears its heartbeat now", error=str(error))

    async def _look_at_itself(self) -> None:
        """Say how it is, and say it again when the log has another last word."""
        if self._wanted in (AgentState.RUNNING, AgentState.DEGRADED):
            self._say_health()
        try:
            if await self._log.last(str(self._subject)) != self._sequence:
                await self._agents.fresh(self._subject)
                if self._said is not None and not self._waiting:
                    self._say(self._said.state, self._said.detail)
        except LogError as error:
            logger.info("cannot see what is said of it now", error=str(error))
