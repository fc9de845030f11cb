"""The active strategies: those that are started, have a pending order, are being closed or have a
position to guard. Pure.

`ActiveStrategies.apply` folds one event of ``ev.*.strategies.>``. `encode` and `decode` carry the
fold from one holder of the runner's lease to the next, which then reads only later events.
"""

from collections.abc import Iterable

import msgspec

from tapewire.events import (
    CODEC,
    SplitExecuted,
    SplitRatio,
    Strategy,
    StrategyCreated,
    StrategyEvent,
    StrategySplit,
    StrategyStarted,
    StrategyStatus,
    UserErased,
)
from tapewire.log import EventSubject, RecordedEvent
from tapewire_services.strategies.domain.exits import PROTECTED_STATUSES


class TrackedStrategy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A strategy of `user` as of `sequence` of the log.

    `position_since` identifies its position: a sequence that changes with every new position, and
    with every start after which prices are watched again. `rule_since` identifies the run of its
    rule: it changes with every start and every new rule. `correlation` is that of its last event.
    """

    user: str
    strategy: Strategy
    sequence: int
    position_since: int = msgspec.field(name="since")
    rule_since: int = msgspec.field(name="begun")
    correlation: str
    pending_split: str | None = None
    """The split of its symbol whose terms it does not have yet."""
    splits: tuple[tuple[int, SplitRatio], ...] = ()
    """The splits that it has the terms of, with the sequences of their events."""

    @property
    def subject(self) -> EventSubject:
        return EventSubject(self.user, "strategies", self.strategy.strategy_id)

    @property
    def is_active(self) -> bool:
        """Whether the strategy needs a worker."""
        strategy = self.strategy
        is_trading = strategy.status is StrategyStatus.STARTED or strategy.order is not None
        return is_trading or strategy.exit is not None or self.is_guarding

    @property
    def is_guarding(self) -> bool:
        """Whether prices are watched for a stop-loss or a take-profit."""
        return self.strategy.guards_position and self.strategy.status in PROTECTED_STATUSES

    def after_command(
        self, strategy: Strategy, sequence: int, correlation: str
    ) -> "TrackedStrategy":
        """The strategy after a command of this process, before its events arrive from the log.

        The events tell exactly where a new position began; until then a position on another side
        counts as new at `sequence`.
        """
        same_side = is_same_side(self.strategy, strategy)
        return msgspec.structs.replace(
            self,
            strategy=strategy,
            sequence=sequence,
            position_since=self.position_since if same_side else sequence,
            correlation=correlation,
        )


class ActiveStrategies:
    """The fold, by the subject of each strategy."""

    def __init__(self, tracked_strategies: Iterable[TrackedStrategy] = ()) -> None:
        self._by_subject = {str(tracked.subject): tracked for tracked in tracked_strategies}
        self._forgotten: set[int] = set()
        """Hashes of the subjects of erased users. They are not encoded."""

    def get_all(self) -> list[TrackedStrategy]:
        """All active strategies, in no particular order."""
        return list(self._by_subject.values())

    def apply(self, recorded: RecordedEvent) -> TrackedStrategy | None:
        """Fold one event. Return its strategy, active or not; None for an event of another kind.

        Raises:
            UnknownType, Undecodable, BadSubject: the event is not folded.
        """
        event = recorded.event
        if isinstance(event, UserErased):
            self.forget_user(event)
        if isinstance(event, SplitExecuted):
            self.begin_split(event)
        if not isinstance(event, StrategyEvent):
            return None
        if isinstance(event, StrategyCreated):
            self._forgotten.discard(hash(recorded.subject))
        elif hash(recorded.subject) in self._forgotten:
            return None
        before = self._by_subject.get(recorded.subject)
        tracked = TrackedStrategy(
            user=recorded.event_subject.owner,
            strategy=event.strategy,
            sequence=recorded.sequence,
            position_since=_position_since(before, event, recorded.sequence),
            rule_since=_rule_since(before, event, recorded.sequence),
            correlation=recorded.metadata.correlation,
            pending_split=_pending_split(before, event),
            splits=_splits_after(before, event, recorded.sequence),
        )
        if tracked.is_active:
            self._by_subject[recorded.subject] = tracked
        else:
            self._by_subject.pop(recorded.subject, None)
        return tracked

    def begin_split(self, split: SplitExecuted) -> list[TrackedStrategy]:
        """Mark the strategies of the symbol: they wait for the terms of the new shares. Returns
        them."""
        marked = [
            msgspec.structs.replace(one, pending_split=split.split_id)
            for one in self._by_subject.values()
            if one.strategy.symbol == split.symbol
        ]
        self._by_subject |= {str(one.subject): one for one in marked}
        return marked

    def forget_user(self, erasure: UserErased) -> None:
        """Remove the strategies of the erased user. Later events of theirs are not folded: they
        result from what was in progress, and will be removed as well."""
        erased_users = erasure.find_users(one.user for one in self._by_subject.values())
        erased = [key for key, one in self._by_subject.items() if one.user in erased_users]
        self._forgotten.update(map(hash, erased))
        for subject in erased:
            del self._by_subject[subject]

    def encode(self) -> bytes:
        """The fold as JSON."""
        return CODEC.encode(self.get_all())

    @classmethod
    def decode(cls, data: bytes) -> "ActiveStrategies":
        """The fold that `encode` returned. Raises ValueError for anything else."""
        return cls(CODEC.decode(data, list[TrackedStrategy]))


def _position_since(previous: TrackedStrategy | None, event: StrategyEvent, sequence: int) -> int:
    if previous is None:
        return sequence
    if isinstance(event, StrategyStarted) and not previous.is_guarding:
        return sequence
    return previous.position_since if is_same_side(previous.strategy, event.strategy) else sequence


def _pending_split(before: TrackedStrategy | None, event: StrategyEvent) -> str | None:
    if before is None:
        return None
    is_done = isinstance(event, StrategySplit) and event.split_id == before.pending_split
    return None if is_done else before.pending_split


def _splits_after(
    before: TrackedStrategy | None, event: StrategyEvent, sequence: int
) -> tuple[tuple[int, SplitRatio], ...]:
    splits = () if before is None else before.splits
    return (*splits, (sequence, event.ratio)) if isinstance(event, StrategySplit) else splits


def _rule_since(previous: TrackedStrategy | None, event: StrategyEvent, sequence: int) -> int:
    if previous is None or isinstance(event, StrategyStarted | StrategySplit):
        return sequence
    return previous.rule_since if previous.strategy.rule == event.strategy.rule else sequence


def is_same_side(first: Strategy, second: Strategy) -> bool:
    """Whether both positions are long, both short, or both empty."""
    before, after = first.position, second.position
    return (before > 0) == (after > 0) and (before < 0) == (after < 0)
