"""The size and the result of a trial. Data only."""

from collections import Counter

import msgspec

from tests.balancer.stream_checks import RollingTrialRecording
from tests.harness.planned_orders import USERS


class RollingTrialSize(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a trial; `orders_per_step` is the least number of orders between two steps."""

    reader_count: int
    orders_per_second: float
    orders_per_step: int


FULL = RollingTrialSize(reader_count=100, orders_per_second=20, orders_per_step=60)
SHORT = RollingTrialSize(reader_count=25, orders_per_second=12, orders_per_step=12)


class TrialPhase(msgspec.Struct, kw_only=True):
    """A part of a trial. `refused_stream_count` counts responses that were not a stream,
    `stream_end_counts` how streams ended, and `retry_counts` why traders retried."""

    name: str
    started_at: float
    ended_at: float = 0.0
    longest_silence_seconds: float = 0.0
    longest_delay_seconds: float = 0.0
    refused_stream_count: int = 0
    stream_end_counts: Counter[str]
    retry_counts: Counter[str]

    def __str__(self) -> str:
        ends = (
            ", ".join(f"{count} {how}" for how, count in self.stream_end_counts.items()) or "none"
        )
        again = (
            ", ".join(f"{count} for {why}" for why, count in self.retry_counts.items()) or "none"
        )
        return (
            f"{self.name}: {self.ended_at - self.started_at:.0f} s, "
            f"longest silence {self.longest_silence_seconds:.2f} s, "
            f"an event up to {self.longest_delay_seconds:.2f} s late, streams ended: {ends}, "
            f"refused {self.refused_stream_count}; orders asked again: {again}"
        )


class RollingTrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """A completed trial."""

    seed: int
    edge_count: int
    recording: RollingTrialRecording
    phases: list[TrialPhase]

    def __str__(self) -> str:
        events, seconds = (
            self.recording.events,
            self.phases[-1].ended_at - self.phases[0].started_at,
        )
        head = (
            f"seed {self.seed}, edge processes {self.edge_count}: "
            f"{len(self.recording.readers)} readers "
            f"of {len(USERS)} users, {len(self.recording.placed)} orders, {len(events)} events "
            f"({len(events) / seconds:.0f} a second)"
        )
        return "\n  ".join([head, *map(str, self.phases)])
