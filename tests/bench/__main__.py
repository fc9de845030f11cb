"""`python -m tests.bench [--quick] [--only NAME]`: run the scenarios and print a table."""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Callable, Coroutine

from tests.bench.archiving import measure_archiving
from tests.bench.client import BenchTarget
from tests.bench.history import measure_long_history
from tests.bench.journal import measure_journal
from tests.bench.page import measure_page
from tests.bench.paging import SHORT_ORDER_COUNT, measure_paging
from tests.bench.peers.comparison import compare_with_peers
from tests.bench.peers.trials import FULL as ALL_PEERS
from tests.bench.peers.trials import SHORT as NO_PEERS
from tests.bench.scenarios import SCENARIOS
from tests.bench.sizes import FULL, QUICK, BenchSize, TableRows
from tests.bench.system import BenchSystem, run_system

PEER_COMPARISON = "against"
"""The scenarios that compare Tapewire with its peers."""
PAGING = "paging"
LONG_SCENARIOS: dict[str, Callable[[], Coroutine[None, None, TableRows]]] = {
    "history": measure_long_history,
    PAGING: measure_paging,
    "archiving": measure_archiving,
    "journal": measure_journal,
    "page": measure_page,
}
"""Separate scenarios on a message server of their own, which take many minutes. The short form of
the benchmark includes that of paging."""


async def run_scenarios(
    system: BenchSystem, size: BenchSize, scenario_name: str | None
) -> TableRows:
    rows: TableRows = []
    for scenario in SCENARIOS:
        if scenario_name is None or scenario.__name__ == scenario_name:
            rows += await scenario(BenchTarget(system.url), system, size)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    names = [scenario.__name__ for scenario in SCENARIOS]
    parser.add_argument("--only", choices=[*names, PEER_COMPARISON, *LONG_SCENARIOS])
    options = parser.parse_args()
    sys.stdout.write(f"{os.cpu_count()} cores, Python {platform.python_version()}\n\n")
    if options.quick and options.only in (None, PAGING):
        format_table(asyncio.run(measure_paging(SHORT_ORDER_COUNT)))
    elif options.only in LONG_SCENARIOS:
        format_table(asyncio.run(LONG_SCENARIOS[options.only]()))
    if options.only not in (PEER_COMPARISON, *LONG_SCENARIOS):
        run_own_benchmarks(options)
    if options.only in (None, PEER_COMPARISON):
        sys.stdout.write(asyncio.run(compare_with_peers(NO_PEERS if options.quick else ALL_PEERS)))
    return 0


def run_own_benchmarks(options: argparse.Namespace) -> None:
    """Measure the whole system as its users experience it."""
    with run_system() as system:
        format_table(
            asyncio.run(run_scenarios(system, QUICK if options.quick else FULL, options.only))
        )


def format_table(rows: TableRows) -> None:
    width = max(len(what) for what, _ in rows)
    sys.stdout.write(f"| {'what':{width}} | figure |\n|{'-' * (width + 2)}|---|\n")
    for what, figure in rows:
        sys.stdout.write(f"| {what:{width}} | {figure} |\n")
    sys.stdout.write("\n")


if __name__ == "__main__":
    sys.exit(main())
