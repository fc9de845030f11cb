"""Which rules are armed, followed by every process, the one with the lease or not.

So a standby knows the rules, and has its own eyes on the prices, when it takes over. Start at
`Rulebook.run`; whoever judges an event first waits until the book has come as far (`reach`).
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from tapewire.events import RuleKind, Undecodable, UnknownType
from tapewire.log import BadSubject, EventLog, LatestValueStore, RecordedEvent, Unavailable, pattern
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire_services.alerts.domain.armed_rules import ArmedRule, ArmedRulesProjection

RULES_FILTER = pattern(domain="rules")
CHECKPOINT_NAME = "alert-rules"
"""Where the checkpoint is kept; whichever process writes it, it is the same fold."""
CATCH_UP_TIMEOUT_SECONDS = 5.0
"""How long a judge waits for the book before it tries again from the log."""

logger = structlog.get_logger("alerts.rulebook")


class ArmedRuleObserver(Protocol):
    """Who hears of every change of the book, once that has caught up."""

    def on_rule_changed(self, rule_id: str, armed: ArmedRule | None) -> None:
        """A rule's id, and the rule when it is armed now."""

    def on_percent_move_symbols(self, symbols: set[str]) -> None:
        """The symbols whose past rules look back on."""

    def on_reset(self) -> None:
        """What was heard is void."""


class ArmedRuleIndex:
    """The armed rules of all users."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        observer: ArmedRuleObserver,
        rng: random.Random | None = None,
    ) -> None:
        self._log = log
        self._observer = observer
        self._projection = ArmedRulesProjection()
        self._progressed = asyncio.Event()
        self.subscription = CatchUpSubscription(
            log,
            checkpoint_store,
            name=CHECKPOINT_NAME,
            filter_=RULES_FILTER,
            make_consumer=self._make_consumer,
            rng=rng,
        )
        """Run it in every process."""

    async def wait_until_applied(self, sequence: int) -> None:
        """Wait until every event of a rule before `sequence` is in the book. Raises Unavailable."""
        wanted = min(await self._log.last_sequence(RULES_FILTER), sequence)
        try:
            async with asyncio.timeout(CATCH_UP_TIMEOUT_SECONDS):
                while self._projection.as_of < wanted:
                    self._progressed.clear()
                    await self._progressed.wait()
        except TimeoutError:
            behind = f"the rules are known up to {self._projection.as_of}, not to {wanted} yet"
            raise Unavailable(behind) from None

    def find_triggered(
        self, user: str, kind: RuleKind, symbol: str | None, sequence: int
    ) -> list[ArmedRule]:
        """The user's rules that an event of that kind, at that sequence, triggers."""
        return self._projection.find_triggered(user, kind, symbol, sequence)

    def _make_consumer(self) -> EventConsumer:
        self._projection = ArmedRulesProjection()
        self._observer.on_reset()
        return _RuleEventConsumer(self._projection, self._observer, self._progressed)


class _RuleEventConsumer(EventConsumer):
    """The consumer: folds, and tells of what is new."""

    def __init__(
        self,
        projection: ArmedRulesProjection,
        observer: ArmedRuleObserver,
        progressed: asyncio.Event,
    ) -> None:
        self._projection = projection
        self._observer = observer
        self._progressed = progressed
        self._is_caught_up = False

    def restore_state(self, state: bytes) -> None:
        self._projection.restore_state(state)

    def serialize_state(self) -> bytes:
        return self._projection.serialize_state()

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        changed = dict.fromkeys(self._apply(recorded) for recorded in events)
        self._progressed.set()
        if self._is_caught_up:
            self._notify_observer(rule_id for rule_id in changed if rule_id is not None)

    async def on_caught_up(self) -> None:
        """Only now: what is armed in the middle of the past was perhaps triggered later in it."""
        self._is_caught_up = True
        self._progressed.set()
        logger.info("knows the rules", armed=len(self._projection), as_of=self._projection.as_of)
        self._notify_observer(armed.rule.rule_id for armed in self._projection.get_all())

    def _notify_observer(self, rule_ids: Iterable[str]) -> None:
        for rule_id in rule_ids:
            self._observer.on_rule_changed(rule_id, self._projection.get(rule_id))
        self._observer.on_percent_move_symbols(self._projection.percent_move_symbols())

    def _apply(self, recorded: RecordedEvent) -> str | None:
        try:
            return self._projection.apply(recorded)
        except (UnknownType, Undecodable, BadSubject) as error:
            logger.warning("passes over an event", sequence=recorded.sequence, error=str(error))
            return None
