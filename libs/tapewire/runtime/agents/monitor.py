"""Says of instances that fell silent that they have stopped. One process does, under a lease.

Who should be heard is folded from the log, who is heard is read from the heartbeats. Nobody's clock
is compared with another's: a heartbeat that is not the one of the last look was sent in between,
and silence is counted by this process alone, from when it first looked. A look that fails, or comes
far too late, begins the count anew for everybody: who could not be heard was not silent. Nor is
anybody while nobody is heard at all, this process included: then no heartbeat can be stored.
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
"""Looks at all heartbeats within the time that makes a silence."""
MAX_POLLS_SINCE_ANY_HEARTBEAT = 2
"""Looks since anybody was heard within which one who is not heard is silent."""
POLLS_WITHOUT_HEARTBEATS_BEFORE_RESET = 5
"""Looks without anybody that begin the count anew: more than a heartbeat, which is at the most half
of the silence, and one look."""

logger = structlog.get_logger("tapewire.agents")


class _RunningAgents(EventConsumer):
    """Who has not stopped, as a consumer of the log."""

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
                logger.warning("passes over an event", at=recorded.sequence, error=str(error))
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
    """When each instance was last heard, by the time of the looks."""

    def __init__(self, now: float) -> None:
        self._last_heartbeats: dict[str, tuple[bytes | None, float]] = {}
        self.last_heartbeat_at = now
        """When anybody was, this process included, or the count began."""

    def reset(self, now: float) -> None:
        """Nothing that was counted counts."""
        self._last_heartbeats.clear()
        self.last_heartbeat_at = now

    def observe(self, names: Iterable[str], heartbeats: dict[str, bytes], now: float) -> None:
        """Take a look at the heartbeats of `names`; a lost one is no sign of life."""
        heard = {}
        for name in names:
            beat = heartbeats.get(encode_token(name))
            last, since = self._last_heartbeats.get(name, (None, now))
            if beat is not None and beat != last:
                last, since = beat, now
                self.last_heartbeat_at = now
            heard[name] = (last, since)
        self._last_heartbeats = heard

    def silent_seconds(self, name: str, now: float) -> float:
        """Seconds since `name` was heard."""
        return now - self._last_heartbeats[name][1]


class AgentMonitor:
    """`run` it while holding the lease `LEASE`."""

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
        """Watch until cancelled."""
        complete = asyncio.Event()
        roll = _RunningAgents(complete)

        def anew() -> _RunningAgents:
            nonlocal roll
            roll = _RunningAgents(complete)
            return roll

        agents_: agents.AgentCommandHandler = CommandHandler(self._log, agents.AGENT_DECIDER)
        subscription = CatchUpSubscription(
            self._log,
            self._checkpoint_store,
            name=CHECKPOINT_NAME,
            filter_=pattern(owner=EVERYBODY, domain=agents.DOMAIN),
            make_consumer=anew,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(subscription.run())
            group.create_task(self._monitor_heartbeats(agents_, lambda: roll.statuses, complete))

    async def _monitor_heartbeats(
        self,
        command_handler: agents.AgentCommandHandler,
        get_statuses: Callable[[], dict[str, AgentStatusChanged]],
        caught_up: asyncio.Event,
    ) -> None:
        clock, pause = asyncio.get_running_loop().time, self._silence_seconds / POLLS_PER_SILENCE
        looked_at = clock()
        ear = _HeartbeatTracker(looked_at)
        while True:
            await asyncio.sleep(pause)
            await caught_up.wait()
            try:
                beats = await self._heartbeats.get_all()
            except LogError as error:
                logger.warning("cannot hear the services now", error=str(error))
                ear.reset(clock())
                continue
            if clock() - looked_at > 3 * pause:
                ear.reset(clock())
            looked_at = clock()
            ear.observe(get_statuses(), beats, looked_at)
            deaf = looked_at - ear.last_heartbeat_at
            if deaf >= POLLS_WITHOUT_HEARTBEATS_BEFORE_RESET * pause:
                logger.warning("hears nobody, not even this process", seconds=round(deaf, 1))
                ear.reset(looked_at)
            elif deaf < MAX_POLLS_SINCE_ANY_HEARTBEAT * pause:
                await self._report_silent_agents(command_handler, get_statuses(), ear, looked_at)

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
        """Have it decided on the instance as it is: one that came back under its name and fell
        silent again is remembered as stopped. What cannot be said now is said at the next look."""
        detail = f"not heard of for {self._silence_seconds:g} s"
        command = agents.report_silence(last_status, detail, self._now())
        subject = agents.agent_subject(last_status.service, last_status.instance)
        try:
            before = await command_handler.load_latest(subject)
            after = await command_handler.handle(subject, command, correlation=command.id)
        except (LogError, TooManyConflicts) as error:
            logger.warning("cannot say that it fell silent", who=subject.entity, error=str(error))
            return
        if after.sequence != before.sequence:
            logger.warning(
                "a service fell silent", service=last_status.service, instance=last_status.instance
            )
