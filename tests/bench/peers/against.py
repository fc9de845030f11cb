"""The table: every trial with every server that is here, side by side, and how they compare."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.servers import PEERS, SERVERS, Floor, Server, Tapewire
from tests.bench.peers.trials import Figure, Size, trials

Table = dict[str, dict[str, Figure]]


async def against(size: Size) -> str:
    """Run every trial; a table in Markdown."""
    here = [s for s in SERVERS if s.missing() is None and (size.peers or s in (Tapewire, Floor))]
    skipped = [f"{s.name}: {s.missing()}" for s in PEERS if s.missing()]
    table: Table = {}
    for server in here:
        for name, figure in (await _alone(server, size)).items():
            table.setdefault(name, {})[server.name] = figure
    for trial in trials(size):
        if trial.like:
            table[trial.name] = table[trial.like] | table[trial.name]
    notes = [f"\nskipped {words}" for words in skipped if size.peers]
    return "\n".join([*_rows(table, here), *notes, ""])


async def _alone(kind: type[Server], size: Size) -> dict[str, Figure]:
    """Every trial with a server of its own."""
    figures = {}
    for trial in trials(size):
        if kind not in trial.servers:
            continue
        with tempfile.TemporaryDirectory(prefix="tapewire-bench-") as folder:
            server = kind(Path(folder))
            server.settings = trial.settings
            try:
                await server.start()
                figures[trial.name] = await trial.run(server, size)
            finally:
                await server.stop()
        sys.stderr.write(f"{kind.name}: {trial.name}: {figures[trial.name].words}\n")
    return figures


def _rows(table: Table, here: Sequence[type[Server]]) -> list[str]:
    peers = [peer for peer in PEERS if peer in here]
    heads = ["what", *(s.name for s in here), *(f"to {peer.name}" for peer in peers)]
    rows = [heads, ["---"] * len(heads)]
    for name, figures in table.items():
        cells = [figures[s.name].words if s.name in figures else "" for s in here]
        ours = figures.get(Tapewire.name)
        rows.append([name, *cells, *(_ratio(ours, figures.get(peer.name)) for peer in peers)])
    return [f"| {' | '.join(row)} |" for row in rows]


def _ratio(ours: Figure | None, theirs: Figure | None) -> str:
    """How many times as good ours is."""
    if ours is None or theirs is None or not ours.value or not theirs.value:
        return ""
    ratio = theirs.value / ours.value if ours.burden else ours.value / theirs.value
    return f"{ratio:,.1f}x"
