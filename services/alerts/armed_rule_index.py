"""The index of armed rules, which every process follows, with or without the lease.

A standby therefore knows the rules, and evaluates prices itself, when it takes over. An event
consumer waits for the index to reach an event before it looks up rules (`wait_until_applied`).
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from tapewire.events import RuleKind, SplitExecuted, Undecodable, UnknownType
from tapewire.log import BadSubject, EventLog, LatestValueStore, RecordedEvent, Unavailable, pattern
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire.log.erasures import erasure_of
from tapewire.log.splits import split_of
from tapewire_services.alerts.domain.armed_rules import ArmedRule, ArmedRulesProjection

RULES_FILTER = pattern(domain="rules")
CHECKPOINT_NAME = "alert-rules"
"""The name of the checkpoint. Every process writes the same fold."""
CATCH_UP_TIMEOUT_SECONDS = 5.0
"""How long an event consumer waits for the index before it reads its page again."""

logger = structlog.get_logger("alerts")


class ArmedRuleObserver(Protocol):
    """Receives every change of the index once that has caught up."""

    def on_rule_changed(self, rule_id: str, armed: ArmedRule | None) -> None:
        """A rule changed; `armed` is None when it is not armed."""

    def on_percent_move_symbols(self, symbols: set[str]) -> None:
        """The symbols whose past prices percent-move rules look back on."""

    def on_split(self, split: SplitExecuted) -> None:
        """The shares of a symbol are split: its past prices are of no interest any more."""

    def on_reset(self) -> None:
        """All earlier changes are void: the index is built again."""


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
        """Follows the rules' events; run it in every process."""

    async def wait_until_applied(self, sequence: int) -> None:
        """Wait until every rule event before `sequence` is applied. Raises Unavailable when that
        takes more than `CATCH_UP_TIMEOUT_SECONDS`."""
        required = min(await self._log.last_sequence(RULES_FILTER), sequence)
        try:
            async with asyncio.timeout(CATCH_UP_TIMEOUT_SECONDS):
                while self._projection.as_of < required:
                    self._progressed.clear()
                    await self._progressed.wait()
        except TimeoutError:
            as_of = self._projection.as_of
            raise Unavailable(f"the rules are known up to {as_of}, not {required} yet") from None

    def find_triggered(
        self, user: str, kind: RuleKind, symbol: str | None, sequence: int
    ) -> list[ArmedRule]:
        """The user's rules that an event of `kind` about `symbol`, at `sequence`, triggers."""
        return self._projection.find_triggered(user, kind, symbol, sequence)

    def _make_consumer(self) -> EventConsumer:
        self._projection = ArmedRulesProjection()
        self._observer.on_reset()
        return _RuleEventConsumer(self._projection, self._observer, self._progressed)


class _RuleEventConsumer(EventConsumer):
    """Folds events into the projection and notifies the observer of changes."""

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
        changed = dict.fromkeys(rule_id for recorded in events for rule_id in self._apply(recorded))
        self._progressed.set()
        if self._is_caught_up:
            self._notify_observer(changed)

    async def on_caught_up(self) -> None:
        """Notify the observer only now: a rule that was armed earlier in the log may have been
        triggered later in it."""
        self._is_caught_up = True
        self._progressed.set()
        logger.info("rules.loaded", count=len(self._projection), sequence=self._projection.as_of)
        self._notify_observer(armed.rule.rule_id for armed in self._projection.get_all())

    def _notify_observer(self, rule_ids: Iterable[str]) -> None:
        for rule_id in rule_ids:
            self._observer.on_rule_changed(rule_id, self._projection.get(rule_id))
        self._observer.on_percent_move_symbols(self._projection.percent_move_symbols())

    def _apply(self, recorded: RecordedEvent) -> list[str]:
        """Fold one event. Return the ids of the rules that it changes."""
        erasure = erasure_of(recorded)
        forgotten = [] if erasure is None else self._projection.forget_user(erasure)
        split = split_of(recorded)
        if split is not None:
            self._observer.on_split(split)
            forgotten = self._projection.begin_split(split)
        try:
            rule_id = self._projection.apply(recorded)
        except (UnknownType, Undecodable, BadSubject) as error:
            logger.warning("event.skipped", sequence=recorded.sequence, error=str(error))
            rule_id = None
        return forgotten if rule_id is None else [rule_id]
