"""`python -m tests.bench [--quick] [--only NAME]`: run the scenarios and print a table."""

import argparse
import asyncio
import os
import platform
import sys

from tests.bench.client import Target
from tests.bench.figures import FULL, QUICK, Rows, Size
from tests.bench.history import history
from tests.bench.scenarios import SCENARIOS
from tests.bench.system import System, running

HISTORY = "history"
"""A scenario by itself, on a message server of its own: it takes many minutes."""


async def measure(system: System, size: Size, only: str | None) -> Rows:
    rows: Rows = []
    for scenario in SCENARIOS:
        if only is None or scenario.__name__ == only:
            rows += await scenario(Target(system.url), system, size)
    return rows


def main() -> int:
    names = [scenario.__name__ for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--only", choices=[*names, HISTORY])
    options = parser.parse_args()
    if options.only == HISTORY:
        rows = asyncio.run(history())
    else:
        with running() as system:
            rows = asyncio.run(measure(system, QUICK if options.quick else FULL, options.only))
    width = max(len(what) for what, _ in rows)
    sys.stdout.write(f"{os.cpu_count()} cores, Python {platform.python_version()}\n\n")
    sys.stdout.write(f"| {'what':{width}} | figure |\n|{'-' * (width + 2)}|---|\n")
    for what, figure in rows:
        sys.stdout.write(f"| {what:{width}} | {figure} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
