"""`python -m tests.bench [--quick] [--only NAME]`: run the scenarios and print a table."""

import argparse
import asyncio
import os
import platform
import sys

from tests.bench.client import Target
from tests.bench.figures import FULL, QUICK, Rows, Size
from tests.bench.history import history
from tests.bench.peers.against import against
from tests.bench.peers.trials import FULL as ALL_PEERS
from tests.bench.peers.trials import SHORT as NO_PEERS
from tests.bench.scenarios import SCENARIOS
from tests.bench.system import System, running

AGAINST = "against"
"""The scenarios that Tapewire and its peers are measured with, side by side."""
HISTORY = "history"
"""A scenario by itself, on a message server of its own: it takes many minutes."""


async def measure(system: System, size: Size, only: str | None) -> Rows:
    rows: Rows = []
    for scenario in SCENARIOS:
        if only is None or scenario.__name__ == only:
            rows += await scenario(Target(system.url), system, size)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    names = [scenario.__name__ for scenario in SCENARIOS]
    parser.add_argument("--only", choices=[*names, AGAINST, HISTORY])
    options = parser.parse_args()
    sys.stdout.write(f"{os.cpu_count()} cores, Python {platform.python_version()}\n\n")
    if options.only == HISTORY:
        table(asyncio.run(history()))
    elif options.only != AGAINST:
        ours(options)
    if options.only in (None, AGAINST):
        sys.stdout.write(asyncio.run(against(NO_PEERS if options.quick else ALL_PEERS)))
    return 0


def ours(options: argparse.Namespace) -> None:
    """What users of the whole system feel."""
    with running() as system:
        table(asyncio.run(measure(system, QUICK if options.quick else FULL, options.only)))


def table(rows: Rows) -> None:
    width = max(len(what) for what, _ in rows)
    sys.stdout.write(f"| {'what':{width}} | figure |\n|{'-' * (width + 2)}|---|\n")
    for what, figure in rows:
        sys.stdout.write(f"| {what:{width}} | {figure} |\n")
    sys.stdout.write("\n")


if __name__ == "__main__":
    sys.exit(main())
