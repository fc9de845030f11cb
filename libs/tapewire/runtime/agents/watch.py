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
    Entities,
    EventLog,
    LogError,
    Overloaded,
    Recorded,
    Values,
    pattern,
    token,
)
from tapewire.log.follower import follow
from tapewire.runtime.agents import state as agents

LEASE = "agents"
CHECKPOINT = "agents-watch"
LOOKS = 6
"""Looks at all heartbeats within the time that makes a silence."""
SURE_LOOKS = 2
"""Looks since anybody was heard within which one who is not heard is silent."""
DEAF_LOOKS = 5
"""Looks without anybody that begin the count anew: more than a heartbeat, which is at the most half
of the silence, and one look."""

logger = structlog.get_logger("tapewire.agents")


class _Roll:
    """Who has not stopped, as a consumer of the log."""

    def __init__(self, complete: asyncio.Event) -> None:
        self.present: dict[str, AgentStatusChanged] = {}
        self._complete = complete
        complete.clear()

    def restore(self, state: bytes) -> None:
        for status in CODEC.decode(state, list[AgentStatusChanged]):
            self._note(status)

    def save(self) -> bytes:
        return CODEC.encode([*self.present.values()])

    async def take(self, events: Sequence[Recorded]) -> None:
        for recorded in events:
            try:
                event = recorded.event
            except (UnknownType, Undecodable) as error:
                logger.warning("passes over an event", at=recorded.sequence, error=str(error))
                continue
            if isinstance(event, AgentStatusChanged):
                self._note(event)

    async def caught_up(self) -> None:
        self._complete.set()

    def _note(self, status: AgentStatusChanged) -> None:
        name = agents.entity(status.service, status.instance)
        self.present.pop(name, None)
        if status.state is not AgentState.STOPPED:
            self.present[name] = status


class _Ear:
    """When each instance was last heard, by the time of the looks."""

    def __init__(self, now: float) -> None:
        self._heard: dict[str, tuple[bytes | None, float]] = {}
        self.heard_at = now
        """When anybody was, this process included, or the count began."""

    def forget(self, now: float) -> None:
        """Nothing that was counted counts."""
        self._heard.clear()
        self.heard_at = now

    def listen(self, names: Iterable[str], beats: dict[str, bytes], now: float) -> None:
        """Take a look at the heartbeats of `names`; a lost one is no sign of life."""
        heard = {}
        for name in names:
            beat = beats.get(token(name))
            last, since = self._heard.get(name, (None, now))
            if beat is not None and beat != last:
                last, since = beat, now
                self.heard_at = now
            heard[name] = (last, since)
        self._heard = heard

    def silent(self, name: str, now: float) -> float:
        """Seconds since `name` was heard."""
        return now - self._heard[name][1]


class Watch:
    """`run` it while holding the lease `LEASE`."""

    def __init__(
        self,
        log: EventLog,
        views: Values,
        heartbeats: Values,
        *,
        silence: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._views = views
        self._heartbeats = heartbeats
        self._silence = silence
        self._now = now

    async def run(self) -> None:
        """Watch until cancelled."""
        complete = asyncio.Event()
        roll = _Roll(complete)

        def anew() -> _Roll:
            nonlocal roll
            roll = _Roll(complete)
            return roll

        agents_: agents.Agents = Entities(self._log, agents.AGENTS)
        filter_ = pattern(owner=EVERYBODY, domain=agents.DOMAIN)
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(self._log, self._views, filter_, CHECKPOINT, anew))
            group.create_task(self._judge(agents_, lambda: roll.present, complete))

    async def _judge(
        self,
        entities: agents.Agents,
        present: Callable[[], dict[str, AgentStatusChanged]],
        complete: asyncio.Event,
    ) -> None:
        clock, pause = asyncio.get_running_loop().time, self._silence / LOOKS
        looked_at = clock()
        ear = _Ear(looked_at)
        while True:
            await asyncio.sleep(pause)
            await complete.wait()
            try:
                beats = await self._heartbeats.all()
            except LogError as error:
                logger.warning("cannot hear the services now", error=str(error))
                ear.forget(clock())
                continue
            if clock() - looked_at > 3 * pause:
                ear.forget(clock())
            looked_at = clock()
            ear.listen(present(), beats, looked_at)
            deaf = looked_at - ear.heard_at
            if deaf >= DEAF_LOOKS * pause:
                logger.warning("hears nobody, not even this process", seconds=round(deaf, 1))
                ear.forget(looked_at)
            elif deaf < SURE_LOOKS * pause:
                await self._say_silent(entities, present(), ear, looked_at)

    async def _say_silent(
        self,
        entities: agents.Agents,
        present: dict[str, AgentStatusChanged],
        ear: _Ear,
        now: float,
    ) -> None:
        for name, status in [*present.items()]:
            if ear.silent(name, now) >= self._silence:
                await self._say(entities, status)

    async def _say(self, entities: agents.Agents, seen: AgentStatusChanged) -> None:
        """Have it decided on the instance as it is: one that came back under its name and fell
        silent again is remembered as stopped. What cannot be said now is said at the next look."""
        detail = f"not heard of for {self._silence:g} s"
        command = agents.silence(seen, detail, self._now())
        subject = agents.subject(seen.service, seen.instance)
        try:
            before = await entities.fresh(subject)
            after = await entities.handle(subject, command, correlation=command.id)
        except (LogError, Overloaded) as error:
            logger.warning("cannot say that it fell silent", who=subject.entity, error=str(error))
            return
        if after.sequence != before.sequence:
            logger.warning("a service fell silent", service=seen.service, instance=seen.instance)
