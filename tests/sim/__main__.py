"""Runs the simulation from the command line.

    python -m tests.sim 47              one seed: its violations and counts
    python -m tests.sim 47 --log        also all log lines of the edges, by virtual time
    python -m tests.sim --seeds 1-5000  many seeds, on all processors

Exits with 1 if there were violations.
"""

import argparse
import sys

from tests.sim.plan import SimulationPlan
from tests.sim.seed_runner import describe_failure, run_seeds
from tests.sim.simulation import SimulationResult, run_simulation


def parse_seeds(text: str) -> range:
    """``FIRST-LAST``, or one number."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int)
    parser.add_argument("--seeds", type=parse_seeds, default=range(1, 501), metavar="FIRST-LAST")
    parser.add_argument("--log", action="store_true", help="print what the edges logged")
    options = parser.parse_args()
    return (
        run_many_seeds(options.seeds)
        if options.seed is None
        else run_one_seed(options.seed, log=options.log)
    )


def run_one_seed(seed: int, *, log: bool) -> int:
    print_line(str(SimulationPlan.from_seed(seed)))
    verdict = run_simulation(seed, print_line if log else None)
    print_counts(verdict.counts)
    for wrong in verdict.violations:
        print_line(f"WRONG: {wrong}")
    print_line(f"seed {seed}: {verdict.event_count} events, {len(verdict.violations)} wrong")
    return 1 if verdict.violations else 0


def run_many_seeds(seeds: range) -> int:
    def each(verdict: SimulationResult) -> None:
        if verdict.violations:
            print_line(describe_failure(verdict))

    report = run_seeds(seeds, each)
    print_counts(report.counts)
    print_line(f"never: {', '.join(report.missing_counts) or 'nothing'}")
    print_line(str(report))
    return 1 if report.failed_results else 0


def print_counts(counts: "dict[str, int]") -> None:
    for name, times in sorted(counts.items()):
        print_line(f"{times:10} {name}")


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
