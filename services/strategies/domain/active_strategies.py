"""The strategies at work: those that are started, or have an order under way. Pure.

`Roster.apply` folds one event of ``ev.*.strategies.>``; `encode` and `decode` carry the fold from
one holder of the runner's lease to the next, so that it reads only what came later.
"""

import base64
import zlib
from collections.abc import Iterable

import msgspec

from tapewire.events import CODEC, Strategy, StrategyEvent, StrategyStarted, StrategyStatus
from tapewire.log import EventSubject, RecordedEvent

MAX_DECOMPRESSED_BYTES = 64 << 20
"""Bytes that a checkpoint may decompress to."""


class TrackedStrategy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A strategy of `user` as of `sequence`. What it holds, it holds since `since`: a sequence that
    is another for every start and every holding. Its rule, with what that learnt of prices, began
    at `begun`. `correlation` is that of its last event."""

    user: str
    strategy: Strategy
    sequence: int
    since: int
    begun: int
    correlation: str

    @property
    def subject(self) -> EventSubject:
        return EventSubject(self.user, "strategies", self.strategy.strategy_id)

    @property
    def is_active(self) -> bool:
        """Whether anything is to be done for it."""
        return self.strategy.status is StrategyStatus.STARTED or self.strategy.order is not None


class ActiveStrategies:
    """The fold."""

    def __init__(self, tracked_strategies: Iterable[TrackedStrategy] = ()) -> None:
        self._by_subject = {str(member.subject): member for member in tracked_strategies}

    def get_all(self) -> list[TrackedStrategy]:
        """In no particular order."""
        return list(self._by_subject.values())

    def apply(self, recorded: RecordedEvent) -> TrackedStrategy | None:
        """The strategy after the event, at work or not; None when it is no event of one.

        Raises:
            UnknownType, Undecodable, BadSubject: not folded.
        """
        event = recorded.event
        if not isinstance(event, StrategyEvent):
            return None
        before = self._by_subject.get(recorded.subject)
        member = TrackedStrategy(
            user=recorded.event_subject.owner,
            strategy=event.strategy,
            sequence=recorded.sequence,
            since=_holding_since_sequence(before, event, recorded.sequence),
            begun=_rule_since_sequence(before, event, recorded.sequence),
            correlation=recorded.metadata.correlation,
        )
        if member.is_active:
            self._by_subject[recorded.subject] = member
        else:
            self._by_subject.pop(recorded.subject, None)
        return member

    def encode(self) -> bytes:
        """The fold as a JSON string, compressed: a value of the log's store has a megabyte."""
        packed = zlib.compress(CODEC.encode(self.get_all()), level=1)
        return CODEC.encode(base64.b64encode(packed).decode())

    @classmethod
    def decode(cls, data: bytes) -> "ActiveStrategies":
        """The fold that `encode` gave. Raises ValueError when it is none."""
        try:
            packed = base64.b64decode(CODEC.decode(data, str), validate=True)
            plain = zlib.decompressobj().decompress(packed, MAX_DECOMPRESSED_BYTES)
        except zlib.error as error:
            raise ValueError(f"{len(data)} bytes are no roster: {error}") from error
        return cls(CODEC.decode(plain, list[TrackedStrategy]))


def _holding_since_sequence(
    previous: TrackedStrategy | None, event: StrategyEvent, sequence: int
) -> int:
    if previous is None or isinstance(event, StrategyStarted):
        return sequence
    return previous.since if is_same_side(previous.strategy, event.strategy) else sequence


def _rule_since_sequence(
    previous: TrackedStrategy | None, event: StrategyEvent, sequence: int
) -> int:
    if previous is None or isinstance(event, StrategyStarted):
        return sequence
    return previous.begun if previous.strategy.rule == event.strategy.rule else sequence


def is_same_side(first: Strategy, second: Strategy) -> bool:
    """Whether both hold shares, both are short, or both hold nothing."""
    held, holds = first.position, second.position
    return (held > 0) == (holds > 0) and (held < 0) == (holds < 0)
