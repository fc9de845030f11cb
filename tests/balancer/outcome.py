"""How big a trial is, and what came of it: words only."""

from collections import Counter

import msgspec

from tests.balancer.verdict import Recording
from tests.faults.plan import USERS


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything; `rate` is of orders a second, `step` how many of them are placed
    between two steps at the least."""

    readers: int
    rate: float
    step: int


FULL = Size(readers=100, rate=20, step=60)
SHORT = Size(readers=25, rate=12, step=12)


class Phase(msgspec.Struct, kw_only=True):
    """A part of a trial. `silence` and `late` are seconds, `refused` answers that were no stream,
    `ends` how streams ended; `again` why traders had to ask again."""

    name: str
    began: float
    ended: float = 0.0
    silence: float = 0.0
    late: float = 0.0
    refused: int = 0
    ends: Counter[str]
    again: Counter[str]

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {how}" for how, count in self.ends.items()) or "none"
        again = ", ".join(f"{count} for {why}" for why, count in self.again.items()) or "none"
        return (
            f"{self.name}: {self.ended - self.began:.0f} s, longest silence {self.silence:.2f} s, "
            f"an event up to {self.late:.2f} s late, streams ended: {ends}, "
            f"refused {self.refused}; orders asked again: {again}"
        )


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that is over."""

    seed: int
    edges: int
    recording: Recording
    phases: list[Phase]

    def __str__(self) -> str:
        events, seconds = self.recording.events, self.phases[-1].ended - self.phases[0].began
        head = (
            f"seed {self.seed}, edge processes {self.edges}: {len(self.recording.readers)} readers "
            f"of {len(USERS)} users, {len(self.recording.placed)} orders, {len(events)} events "
            f"({len(events) / seconds:.0f} a second)"
        )
        return "\n  ".join([head, *map(str, self.phases)])
