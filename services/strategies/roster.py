"""The strategies at work: those that are started, or have an order under way. Pure.

`Roster.apply` folds one event of ``ev.*.strategies.>``; `encode` and `decode` carry the fold from
one holder of the runner's lease to the next, so that it reads only what came later.
"""

import base64
import zlib
from collections.abc import Iterable

import msgspec

from tapewire.events import CODEC, Strategy, StrategyEvent, StrategyStarted, StrategyStatus
from tapewire.log import Recorded, Subject

LARGEST = 64 << 20
"""Bytes that a checkpoint may decompress to."""


class Member(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
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
    def subject(self) -> Subject:
        return Subject(self.user, "strategies", self.strategy.strategy_id)

    @property
    def at_work(self) -> bool:
        """Whether anything is to be done for it."""
        return self.strategy.status is StrategyStatus.STARTED or self.strategy.order is not None


class Roster:
    """The fold."""

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._members = {str(member.subject): member for member in members}

    def members(self) -> list[Member]:
        """In no particular order."""
        return list(self._members.values())

    def apply(self, recorded: Recorded) -> Member | None:
        """The strategy after the event, at work or not; None when it is no event of one.

        Raises:
            UnknownType, Undecodable, BadSubject: not folded.
        """
        event = recorded.event
        if not isinstance(event, StrategyEvent):
            return None
        before = self._members.get(recorded.subject)
        member = Member(
            user=recorded.place.owner,
            strategy=event.strategy,
            sequence=recorded.sequence,
            since=_since(before, event, recorded.sequence),
            begun=_begun(before, event, recorded.sequence),
            correlation=recorded.meta.correlation,
        )
        if member.at_work:
            self._members[recorded.subject] = member
        else:
            self._members.pop(recorded.subject, None)
        return member

    def encode(self) -> bytes:
        """The fold as a JSON string, compressed: a value of the log's store has a megabyte."""
        packed = zlib.compress(CODEC.encode(self.members()), level=1)
        return CODEC.encode(base64.b64encode(packed).decode())

    @classmethod
    def decode(cls, data: bytes) -> "Roster":
        """The fold that `encode` gave. Raises ValueError when it is none."""
        try:
            packed = base64.b64decode(CODEC.decode(data, str), validate=True)
            plain = zlib.decompressobj().decompress(packed, LARGEST)
        except zlib.error as error:
            raise ValueError(f"{len(data)} bytes are no roster: {error}") from error
        return cls(CODEC.decode(plain, list[Member]))


def _since(before: Member | None, event: StrategyEvent, sequence: int) -> int:
    if before is None or isinstance(event, StrategyStarted):
        return sequence
    return before.since if same_side(before.strategy, event.strategy) else sequence


def _begun(before: Member | None, event: StrategyEvent, sequence: int) -> int:
    if before is None or isinstance(event, StrategyStarted):
        return sequence
    return before.begun if before.strategy.rule == event.strategy.rule else sequence


def same_side(one: Strategy, other: Strategy) -> bool:
    """Whether both hold shares, both are short, or both hold nothing."""
    held, holds = one.position, other.position
    return (held > 0) == (holds > 0) and (held < 0) == (holds < 0)
