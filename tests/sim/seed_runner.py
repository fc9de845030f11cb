"""Runs many seeds on all processors and summarizes their results."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from tests.sim.coverage import missing_counts
from tests.sim.simulation import SimulationResult, run_simulation

MAX_REPORTED_SEEDS = 10
MAX_REPORTED_VIOLATIONS = 5
SEEDS_PER_TASK = 5
"""The number of seeds that a process receives at once."""


class SimulationReport(msgspec.Struct):
    """The result of many seeds; `failed_results` are the results with violations."""

    seeds: int = 0
    seconds: float = 0.0
    events: int = 0
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    failed_results: list[SimulationResult] = []

    def add(self, result: SimulationResult) -> None:
        self.seeds += 1
        self.events += result.event_count
        self.counts += result.counts
        if result.violations:
            self.failed_results.append(result)

    @property
    def received_frame_count(self) -> int:
        """The number of frames with an id that clients received."""
        return sum(n for name, n in self.counts.items() if name.startswith("frames: "))

    @property
    def missing_counts(self) -> list[str]:
        """Required counts that are 0."""
        return missing_counts(self.counts)

    def __str__(self) -> str:
        return (
            f"{self.seeds} seeds in {self.seconds:.1f} s: {self.events} events stored, "
            f"{self.received_frame_count} frames with an id received, "
            f"{len(self.failed_results)} seeds failed"
        )

    def describe_failures(self) -> str:
        """The violations, and the commands that repeat them."""
        return "\n".join(
            describe_failure(verdict) for verdict in self.failed_results[:MAX_REPORTED_SEEDS]
        )


def describe_failure(result: SimulationResult) -> str:
    """The violations of one seed, and the command that repeats it."""
    lines = [
        f"seed {result.seed}: {len(result.violations)} wrong; python -m tests.sim {result.seed}"
    ]
    lines += [f"    {wrong}" for wrong in result.violations[:MAX_REPORTED_VIOLATIONS]]
    return "\n".join(lines)


def run_seeds(
    seeds: Iterable[int], on_result: Callable[[SimulationResult], None] = lambda _: None
) -> SimulationReport:
    """Run all `seeds`; `on_result` is called with every result."""
    report, began = SimulationReport(), time.monotonic()
    # Spawn processes instead of forking, because the caller may have threads.
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count()) as pool:
        for verdict in pool.imap_unordered(run_simulation, seeds, chunksize=SEEDS_PER_TASK):
            report.add(verdict)
            on_result(verdict)
    report.failed_results.sort(key=lambda verdict: verdict.seed)
    report.seconds = time.monotonic() - began
    return report
