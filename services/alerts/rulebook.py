"""Which rules are armed, followed by every process, the one with the lease or not.

So a standby knows the rules, and has its own eyes on the prices, when it takes over. Start at
`Rulebook.run`; whoever judges an event first waits until the book has come as far (`reach`).
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from services.alerts.domain.armed import Armed, ArmedRules
from tapewire.events import RuleKind, Undecodable, UnknownType
from tapewire.log import BadSubject, EventLog, Recorded, Unavailable, Values, pattern
from tapewire.log.follower import Consumer, follow

FILTER = pattern(domain="rules")
NAME = "alert-rules"
"""Where the checkpoint is kept; whichever process writes it, it is the same fold."""
REACH_SECONDS = 5.0
"""How long a judge waits for the book before it tries again from the log."""

logger = structlog.get_logger("alerts.rulebook")


class Eyes(Protocol):
    """Who hears of every change of the book, once that has caught up."""

    def see(self, rule_id: str, armed: Armed | None) -> None:
        """A rule's id, and the rule when it is armed now."""

    def care(self, symbols: set[str]) -> None:
        """The symbols whose past rules look back on."""

    def forget(self) -> None:
        """What was heard is void."""


class Rulebook:
    """The armed rules of all users."""

    def __init__(self, log: EventLog, eyes: Eyes) -> None:
        self._log = log
        self._eyes = eyes
        self._rules = ArmedRules()
        self._progress = asyncio.Event()
        self.places: dict[str, int] = {}
        """How far the book has come, once it has caught up."""

    async def run(self, values: Values, chance: random.Random | None = None) -> None:
        """Follow all rules until canceled."""
        await follow(self._log, values, FILTER, NAME, self._begin, chance, self.places)

    async def reach(self, sequence: int) -> None:
        """Wait until every event of a rule before `sequence` is in the book. Raises Unavailable."""
        wanted = min(await self._log.last(FILTER), sequence)
        try:
            async with asyncio.timeout(REACH_SECONDS):
                while self._rules.as_of < wanted:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            behind = f"the rules are known up to {self._rules.as_of}, not to {wanted} yet"
            raise Unavailable(behind) from None

    def waiting(self, user: str, kind: RuleKind, symbol: str | None, sequence: int) -> list[Armed]:
        """The user's rules that an event of that kind, at that sequence, triggers."""
        return self._rules.waiting(user, kind, symbol, sequence)

    def _begin(self) -> Consumer:
        self._rules = ArmedRules()
        self._eyes.forget()
        return _Reader(self._rules, self._eyes, self._progress)


class _Reader:
    """The consumer: folds, and tells of what is new."""

    def __init__(self, rules: ArmedRules, eyes: Eyes, progress: asyncio.Event) -> None:
        self._rules = rules
        self._eyes = eyes
        self._progress = progress
        self._telling = False

    def restore(self, state: bytes) -> None:
        self._rules.restore(state)

    def save(self) -> bytes:
        return self._rules.save()

    async def take(self, events: Sequence[Recorded]) -> None:
        changed = dict.fromkeys(self._apply(recorded) for recorded in events)
        self._progress.set()
        if self._telling:
            self._tell(rule_id for rule_id in changed if rule_id is not None)

    async def caught_up(self) -> None:
        """Only now: what is armed in the middle of the past was perhaps triggered later in it."""
        self._telling = True
        self._progress.set()
        logger.info("knows the rules", armed=len(self._rules), as_of=self._rules.as_of)
        self._tell(armed.rule.rule_id for armed in self._rules.all())

    def _tell(self, rule_ids: Iterable[str]) -> None:
        for rule_id in rule_ids:
            self._eyes.see(rule_id, self._rules.get(rule_id))
        self._eyes.care(self._rules.moving())

    def _apply(self, recorded: Recorded) -> str | None:
        try:
            return self._rules.apply(recorded)
        except (UnknownType, Undecodable, BadSubject) as error:
            logger.warning("passes over an event", sequence=recorded.sequence, error=str(error))
            return None
