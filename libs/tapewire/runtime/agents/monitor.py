"""Reports processes that fell silent as stopped. It runs in one process, under a lease.

The log has the processes that should run, heartbeats show those that do. Clocks of different
processes are never compared: each heartbeat differs from the one before, so a changed value means
that the process lives, and this process alone measures the silence, from its first poll. If a poll
fails or comes far too late, all measurements start over, because heartbeats may have been missed.
The same holds while no heartbeat arrives at all, not even that of this process: then heartbeats
cannot be stored. Start at `AgentMonitor`.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import structlog

from tapewire.events import CODEC, AgentState, AgentStatusChanged, Undecodable, UnknownType
from tapewire.log import (
    EVERYBODY,
    CommandHandler,
    EventLog,
    LatestValueStore,
    LogError,
    RecordedEvent,
    TooManyConflicts,
    encode_token,
    pattern,
)
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire.runtime.agents import state as agents

LEASE = "agents"
CHECKPOINT_NAME = "agents-watch"
POLLS_PER_SILENCE = 6
"""Polls of all heartbeats within the time that counts as silence."""
MAX_POLLS_SINCE_ANY_HEARTBEAT = 2
"""A process without heartbeats is silent only if some heartbeat arrived within this many polls."""
POLLS_WITHOUT_HEARTBEATS_BEFORE_RESET = 5
"""Polls without any heartbeat after which the measurements start over. They take longer than a
heartbeat interval, which is at most half of the silence, plus one poll."""

logger = structlog.get_logger("tapewire.agents")


class _RunningAgents(EventConsumer):
    """The processes that have not stopped, folded from the log."""

    def __init__(self, caught_up: asyncio.Event) -> None:
        self.statuses: dict[str, AgentStatusChanged] = {}
        self._caught_up = caught_up
        caught_up.clear()

    def restore_state(self, state: bytes) -> None:
        for status in CODEC.decode(state, list[AgentStatusChanged]):
            self._record_status(status)

    def serialize_state(self) -> bytes:
        return CODEC.encode([*self.statuses.values()])

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        for recorded in events:
            try:
                event = recorded.event
            except (UnknownType, Undecodable) as error:
                logger.warning("agents.event_skipped", sequence=recorded.sequence, error=str(error))
                continue
            if isinstance(event, AgentStatusChanged):
                self._record_status(event)

    async def on_caught_up(self) -> None:
        self._caught_up.set()

    def _record_status(self, status: AgentStatusChanged) -> None:
        name = agents.agent_entity(status.service, status.instance)
        self.statuses.pop(name, None)
        if status.state is not AgentState.STOPPED:
            self.statuses[name] = status


class _HeartbeatTracker:
    """The time of each process's last heartbeat, in the time of the polls."""

    def __init__(self, now: float) -> None:
        self._last_heartbeats: dict[str, tuple[bytes | None, float]] = {}
        self.last_heartbeat_at = now
        """When any heartbeat arrived, that of this process included, or the measurement started."""

    def reset(self, now: float) -> None:
        """Start all measurements over."""
        self._last_heartbeats.clear()
        self.last_heartbeat_at = now

    def observe(self, names: Iterable[str], heartbeats: dict[str, bytes], now: float) -> None:
        """Compare the heartbeats of `names` with the last poll. A missing heartbeat is not a sign
        of life."""
        last_heartbeats = {}
        for name in names:
            heartbeat = heartbeats.get(encode_token(name))
            last, since = self._last_heartbeats.get(name, (None, now))
            if heartbeat is not None and heartbeat != last:
                last, since = heartbeat, now
                self.last_heartbeat_at = now
            last_heartbeats[name] = (last, since)
        self._last_heartbeats = last_heartbeats

    def silent_seconds(self, name: str, now: float) -> float:
        """Seconds since a heartbeat of `name` arrived."""
        return now - self._last_heartbeats[name][1]


class AgentMonitor:
    """Monitors all processes. `run` it while holding the lease `LEASE`."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        heartbeats: LatestValueStore,
        *,
        silence_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._heartbeats = heartbeats
        self._silence_seconds = silence_seconds
        self._now = now

    async def run(self) -> None:
        """Monitor until cancelled."""
        caught_up = asyncio.Event()
        running_agents = _RunningAgents(caught_up)

        def make_consumer() -> _RunningAgents:
            nonlocal running_agents
            running_agents = _RunningAgents(caught_up)
            return running_agents

        command_handler: agents.AgentCommandHandler = CommandHandler(
            self._log, agents.AGENT_DECIDER
        )
        subscription = CatchUpSubscription(
            self._log,
            self._checkpoint_store,
            name=CHECKPOINT_NAME,
            filter_=pattern(owner=EVERYBODY, domain=agents.DOMAIN),
            make_consumer=make_consumer,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(subscription.run())
            group.create_task(
                self._monitor_heartbeats(
                    command_handler, lambda: running_agents.statuses, caught_up
                )
            )

    async def _monitor_heartbeats(
        self,
        command_handler: agents.AgentCommandHandler,
        get_statuses: Callable[[], dict[str, AgentStatusChanged]],
        caught_up: asyncio.Event,
    ) -> None:
        clock, pause = asyncio.get_running_loop().time, self._silence_seconds / POLLS_PER_SILENCE
        polled_at = clock()
        tracker = _HeartbeatTracker(polled_at)
        while True:
            await asyncio.sleep(pause)
            await caught_up.wait()
            try:
                heartbeats = await self._heartbeats.get_all()
            except LogError as error:
                logger.warning("agents.poll_failed", error=str(error))
                tracker.reset(clock())
                continue
            if clock() - polled_at > 3 * pause:
                tracker.reset(clock())
            polled_at = clock()
            tracker.observe(get_statuses(), heartbeats, polled_at)
            silent = polled_at - tracker.last_heartbeat_at
            if silent >= POLLS_WITHOUT_HEARTBEATS_BEFORE_RESET * pause:
                logger.warning("agents.no_heartbeats", seconds=round(silent, 1))
                tracker.reset(polled_at)
            elif silent < MAX_POLLS_SINCE_ANY_HEARTBEAT * pause:
                await self._report_silent_agents(
                    command_handler, get_statuses(), tracker, polled_at
                )

    async def _report_silent_agents(
        self,
        command_handler: agents.AgentCommandHandler,
        statuses: dict[str, AgentStatusChanged],
        tracker: _HeartbeatTracker,
        now: float,
    ) -> None:
        for name, status in [*statuses.items()]:
            if tracker.silent_seconds(name, now) >= self._silence_seconds:
                await self._report_stopped(command_handler, status)

    async def _report_stopped(
        self, command_handler: agents.AgentCommandHandler, last_status: AgentStatusChanged
    ) -> None:
        """Report the process as stopped, unless its state changed meanwhile. A process that
        returned under the same name and fell silent again may already count as stopped. What cannot
        be reported now is reported after the next poll."""
        detail = f"not heard of for {self._silence_seconds:g} s"
        command = agents.report_silence(last_status, detail, self._now())
        subject = agents.agent_subject(last_status.service, last_status.instance)
        try:
            before = await command_handler.load_latest(subject)
            after = await command_handler.handle(subject, command, correlation=command.id)
        except (LogError, TooManyConflicts) as error:
            logger.warning("agents.report_failed", name=subject.entity, error=str(error))
            return
        if after.sequence != before.sequence:
            logger.warning(
                "agents.silent",
                service=last_status.service,
                instance=last_status.instance,
            )
