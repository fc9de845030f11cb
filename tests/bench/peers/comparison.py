"""The table: every trial with every available server, side by side, with their ratios."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.servers import PEERS, SERVERS, BareSocket, BenchServer, TapewireServer
from tests.bench.peers.trials import PeerBenchSize, TrialFigure, create_trials

Table = dict[str, dict[str, TrialFigure]]


async def compare_with_peers(size: PeerBenchSize) -> str:
    """Run every trial; return a table in Markdown."""
    here = [
        s
        for s in SERVERS
        if s.unavailable_reason() is None
        and (size.includes_peers or s in (TapewireServer, BareSocket))
    ]
    skipped = [f"{s.name}: {s.unavailable_reason()}" for s in PEERS if s.unavailable_reason()]
    table: Table = {}
    for server in here:
        for name, figure in (await _run_trials_of(server, size)).items():
            table.setdefault(name, {})[server.name] = figure
    for trial in create_trials(size):
        if trial.compared_with:
            table[trial.name] = table[trial.compared_with] | table[trial.name]
    notes = [f"\nskipped {words}" for words in skipped if size.includes_peers]
    return "\n".join([*_format_rows(table, here), *notes, ""])


async def _run_trials_of(
    server_type: type[BenchServer], size: PeerBenchSize
) -> dict[str, TrialFigure]:
    """Run every trial, each with a new server."""
    figures = {}
    for trial in create_trials(size):
        if server_type not in trial.servers:
            continue
        with tempfile.TemporaryDirectory(prefix="tapewire-bench-") as folder:
            server = server_type(Path(folder))
            server.settings = trial.settings
            try:
                await server.start()
                figures[trial.name] = await trial.run(server, size)
            finally:
                await server.stop()
        sys.stderr.write(f"{server_type.name}: {trial.name}: {figures[trial.name].text}\n")
    return figures


def _format_rows(table: Table, available_servers: Sequence[type[BenchServer]]) -> list[str]:
    peers = [peer for peer in PEERS if peer in available_servers]
    heads = ["what", *(s.name for s in available_servers), *(f"to {peer.name}" for peer in peers)]
    rows = [heads, ["---"] * len(heads)]
    for name, figures in table.items():
        cells = [figures[s.name].text if s.name in figures else "" for s in available_servers]
        ours = figures.get(TapewireServer.name)
        rows.append(
            [name, *cells, *(_improvement_ratio(ours, figures.get(peer.name)) for peer in peers)]
        )
    return [f"| {' | '.join(row)} |" for row in rows]


def _improvement_ratio(ours: TrialFigure | None, theirs: TrialFigure | None) -> str:
    """The ratio by which our figure is better."""
    if ours is None or theirs is None or not ours.value or not theirs.value:
        return ""
    ratio = theirs.value / ours.value if ours.is_lower_better else ours.value / theirs.value
    return f"{ratio:,.1f}x"
