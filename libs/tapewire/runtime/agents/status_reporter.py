"""Reports the state of this process, and sends its heartbeats.

Changes are appended to the log in order. While the log cannot be reached they wait, and only the
newest are kept: that NATS was away, and the current state. Every heartbeat has a different value,
so a monitor needs no clock but its own. With each heartbeat the reporter also checks that the log
still shows its last report, and repeats the report if not: a monitor believed the process stopped,
or the log was recreated. Start at `AgentStatusReporter.run`.
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
from tapewire.log import (
    CommandHandler,
    EventLog,
    LatestValueStore,
    LogError,
    TooManyConflicts,
    encode_token,
    new_id,
)
from tapewire.log.backoff import Backoff, new_rng
from tapewire.runtime.agents import state as agents

STOP_REPORT_TIMEOUT_SECONDS = 2.0
"""How long a stopping process tries to report that."""
MAX_DETAIL_CHARACTERS = 200
MAX_PENDING_STATUSES = 2
"""Changes that wait while the log cannot be reached."""
HEARTBEAT_TTL_INTERVALS = 20
"""Heartbeat intervals after which a process's last heartbeat expires. Every host and process id has
a key of its own, and each poll reads them all. An expired heartbeat has no meaning."""

HealthCheck = Callable[[], str | None]
"""Returns what is wrong with the process; None if nothing is."""

logger = structlog.get_logger("tapewire.agents")


class AgentHeartbeat(msgspec.Struct, frozen=True, rename="camel"):
    """`boot` identifies one run of the process, `beat` counts its heartbeats."""

    service: str
    instance: str
    boot: str
    beat: int


class AgentStatusReporter:
    """Reports the state of one process. `run` does the work; the other methods only record
    changes."""

    def __init__(
        self,
        log: EventLog,
        heartbeats: LatestValueStore,
        service: str,
        instance: str,
        *,
        heartbeat_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._heartbeats = heartbeats
        self._service = service
        self._instance = instance
        self._heartbeat_seconds = heartbeat_seconds
        self._now = now
        self._subject = agents.agent_subject(service, instance)
        self._command_handler: agents.AgentCommandHandler = CommandHandler(
            log, agents.AGENT_DECIDER
        )
        self._pending: deque[AgentStatusChanged] = deque()
        self._last_appended: AgentStatusChanged | None = None
        self._last_sequence = 0
        self._wake = asyncio.Event()
        self._backoff = Backoff(new_rng())
        self._boot_id, self._beat_count = new_id(), 0
        self._disconnected_at: float | None = None
        self.health_checks: list[HealthCheck] = []
        self._enqueue_status(AgentState.STARTING)

    def report_ready(self) -> None:
        """The process is ready from now on."""
        self._report_health()

    def report_health(self) -> None:
        """A health check has another result: report it now, without waiting for a heartbeat."""
        if self._target_state in (AgentState.RUNNING, AgentState.DEGRADED):
            self._report_health()

    def on_connection_state(self, is_connected: bool) -> None:
        """NATS was lost or is back. The loss is reported once the log can be reached."""
        clock = asyncio.get_running_loop().time
        if not is_connected:
            self._disconnected_at = self._disconnected_at or clock()
        elif self._disconnected_at is not None:
            seconds, self._disconnected_at = clock() - self._disconnected_at, None
            if self._target_state is not AgentState.STARTING:
                self._enqueue_status(AgentState.DEGRADED, f"was without NATS for {seconds:.1f} s")
                self._report_health()
            self._wake.set()

    async def run(self) -> None:
        """Report changes and send heartbeats until cancelled."""
        beat_at = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            await self._append_pending()
            if clock() >= beat_at:
                beat_at = clock() + self._heartbeat_seconds
                await self._send_heartbeat()
                await self._reconcile_with_log()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat_at):
                    if not self._pending:
                        await self._wake.wait()

    async def report_stopped(self, detail: str | None) -> None:
        """Report the end of the process, trying for `STOP_REPORT_TIMEOUT_SECONDS`. `run` must have
        been cancelled before."""
        self._enqueue_status(AgentState.STOPPED, detail)
        try:
            async with asyncio.timeout(STOP_REPORT_TIMEOUT_SECONDS):
                while self._pending:
                    await self._append(self._pending[-1])
                    self._pending.clear()
        except (LogError, TooManyConflicts, TimeoutError) as error:
            logger.warning("agents.stop_report_failed", error=repr(error))

    @property
    def _target_state(self) -> AgentState | None:
        last = self._pending[-1] if self._pending else self._last_appended
        return None if last is None else last.state

    def _report_health(self) -> None:
        wrong = [found for check in self.health_checks if (found := check())]
        if wrong:
            self._enqueue_status(AgentState.DEGRADED, "; ".join(wrong))
        else:
            self._enqueue_status(AgentState.RUNNING)

    def _enqueue_status(self, state: AgentState, detail: str | None = None) -> None:
        if self._pending and (self._pending[-1].state, self._pending[-1].detail) == (state, detail):
            return  # it waits already
        self._pending.append(
            AgentStatusChanged(
                service=self._service,
                instance=self._instance,
                state=state,
                detail=None if detail is None else detail[:MAX_DETAIL_CHARACTERS],
                timestamp=self._now(),
            )
        )
        self._wake.set()

    async def _append_pending(self) -> None:
        while self._pending:
            try:
                await self._append(self._pending[0])
            except (LogError, TooManyConflicts) as error:
                logger.warning("agents.status_report_failed", error=str(error))
                self._pending = deque([*self._pending][-MAX_PENDING_STATUSES:])
                await self._backoff.wait()
                return
            self._backoff.reset()
            self._pending.popleft()

    async def _append(self, status: AgentStatusChanged) -> None:
        known = await self._command_handler.handle(
            self._subject, agents.report_status(status), correlation=self._boot_id
        )
        self._last_appended, self._last_sequence = status, known.sequence

    async def _send_heartbeat(self) -> None:
        self._beat_count += 1
        beat = AgentHeartbeat(self._service, self._instance, self._boot_id, self._beat_count)
        ttl = math.ceil(self._heartbeat_seconds * HEARTBEAT_TTL_INTERVALS)
        try:
            await self._heartbeats.put(
                encode_token(self._subject.entity), CODEC.encode(beat), ttl=ttl
            )
        except LogError as error:
            logger.info("agents.heartbeat_failed", error=str(error))

    async def _reconcile_with_log(self) -> None:
        """Report the current health, and repeat the last report if the log shows another one."""
        self.report_health()
        try:
            if await self._log.last_sequence(str(self._subject)) != self._last_sequence:
                await self._command_handler.load_latest(self._subject)
                if self._last_appended is not None and not self._pending:
                    self._enqueue_status(self._last_appended.state, self._last_appended.detail)
        except LogError as error:
            logger.info("agents.reconcile_failed", error=str(error))
