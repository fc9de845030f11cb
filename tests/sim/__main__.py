"""The simulation from the command line.

    python -m tests.sim 47              one seed: what was wrong, what happened
    python -m tests.sim 47 --log        and all that the edges logged, by virtual time
    python -m tests.sim --seeds 1-5000  many, on all processors

Ends with 1 when something was wrong.
"""

import argparse
import sys

from tests.sim.hunt import hunt, told
from tests.sim.plan import Plan
from tests.sim.world import Verdict, play


def seeds(text: str) -> range:
    """``FIRST-LAST``, or one number."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int)
    parser.add_argument("--seeds", type=seeds, default=range(1, 501), metavar="FIRST-LAST")
    parser.add_argument("--log", action="store_true", help="what the edges logged")
    asked = parser.parse_args()
    return _many(asked.seeds) if asked.seed is None else _one(asked.seed, log=asked.log)


def _one(seed: int, *, log: bool) -> int:
    _say(str(Plan.of(seed)))
    verdict = play(seed, _say if log else None)
    _count(verdict.counts)
    for wrong in verdict.wrong:
        _say(f"WRONG: {wrong}")
    _say(f"seed {seed}: {verdict.events} events, {len(verdict.wrong)} wrong")
    return 1 if verdict.wrong else 0


def _many(of: range) -> int:
    def each(verdict: Verdict) -> None:
        if verdict.wrong:
            _say(told(verdict))

    report = hunt(of, each)
    _count(report.counts)
    _say(f"never: {', '.join(report.never) or 'nothing'}")
    _say(str(report))
    return 1 if report.failed else 0


def _count(counts: "dict[str, int]") -> None:
    for name, times in sorted(counts.items()):
        _say(f"{times:10} {name}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
