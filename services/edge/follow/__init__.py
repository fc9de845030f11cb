"""Following the log for connections: snapshot, replay, splice, live, repair.

`tape` follows the end of the log for the whole process. `stream` is one connection's way along it:
`beginning` where it starts, `snapshots` what it starts with, `reading` how it reads what the tape
does not remember. What goes along as newest-wins values: `along`, and the boards that it joins.
Read `stream` first.
"""

from services.edge.follow.along import LiveValueSources
from services.edge.follow.board import MAX_UPDATE_RATE, QuoteFeed
from services.edge.follow.counts import GlobalValueFeed
from services.edge.follow.portfolios import PortfolioTracker
from services.edge.follow.snapshots import SnapshotReader
from services.edge.follow.stream import CatchUpSubscriptions
from services.edge.follow.tally import ItemMetrics
from services.edge.follow.tape import LogTail
from services.edge.follow.values import DeclaredValueFeed

__all__ = [
    "MAX_UPDATE_RATE",
    "CatchUpSubscriptions",
    "DeclaredValueFeed",
    "GlobalValueFeed",
    "ItemMetrics",
    "LiveValueSources",
    "LogTail",
    "PortfolioTracker",
    "QuoteFeed",
    "SnapshotReader",
]
