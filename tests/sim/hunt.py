"""Plays many seeds on all processors, and sums up what came of them."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from tests.sim.coverage import missing
from tests.sim.world import Verdict, play

TOLD_FAILURES = 10
TOLD_WRONGS = 5
AT_ONCE = 5
"""Seeds that a process is given at once."""


class Report(msgspec.Struct):
    """What came of `seeds` seeds. `failed` are verdicts with something wrong."""

    seeds: int = 0
    seconds: float = 0.0
    events: int = 0
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    failed: list[Verdict] = []

    def add(self, verdict: Verdict) -> None:
        self.seeds += 1
        self.events += verdict.events
        self.counts += verdict.counts
        if verdict.wrong:
            self.failed.append(verdict)

    @property
    def frames(self) -> int:
        """Frames with an id that clients got."""
        return sum(n for name, n in self.counts.items() if name.startswith("frames: "))

    @property
    def never(self) -> list[str]:
        """What should have happened and did not."""
        return missing(self.counts)

    def __str__(self) -> str:
        return (
            f"{self.seeds} seeds in {self.seconds:.1f} s: {self.events} events stored, "
            f"{self.frames} frames with an id received, {len(self.failed)} seeds failed"
        )

    def failures(self) -> str:
        """What was wrong, and how to see it again."""
        return "\n".join(told(verdict) for verdict in self.failed[:TOLD_FAILURES])


def told(verdict: Verdict) -> str:
    """What was wrong in one seed, and how to see it again."""
    lines = [f"seed {verdict.seed}: {len(verdict.wrong)} wrong; python -m tests.sim {verdict.seed}"]
    lines += [f"    {wrong}" for wrong in verdict.wrong[:TOLD_WRONGS]]
    return "\n".join(lines)


def hunt(seeds: Iterable[int], each: Callable[[Verdict], None] = lambda _: None) -> Report:
    """Play all `seeds`; `each` is told every verdict."""
    report, began = Report(), time.monotonic()
    # Spawned, not forked: whoever calls may have threads.
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count()) as pool:
        for verdict in pool.imap_unordered(play, seeds, chunksize=AT_ONCE):
            report.add(verdict)
            each(verdict)
    report.failed.sort(key=lambda verdict: verdict.seed)
    report.seconds = time.monotonic() - began
    return report
