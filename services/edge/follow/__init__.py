"""Following the log for connections: snapshot, replay, splice, live, repair.

`tape` follows the end of the log for the whole process. `stream` is one connection's way along it:
`beginning` where it starts, `snapshots` what it starts with, `reading` how it reads what the tape
does not remember. What goes along as newest-wins values: `along`, and the boards that it joins.
Read `stream` first.
"""

from services.edge.follow.along import Along
from services.edge.follow.board import MOST_RATE, Board
from services.edge.follow.counts import Counts
from services.edge.follow.portfolios import Portfolios
from services.edge.follow.snapshots import Snapshots
from services.edge.follow.stream import Followers
from services.edge.follow.tally import Tally
from services.edge.follow.tape import Tape
from services.edge.follow.values import ValueBoard

__all__ = [
    "MOST_RATE",
    "Along",
    "Board",
    "Counts",
    "Followers",
    "Portfolios",
    "Snapshots",
    "Tally",
    "Tape",
    "ValueBoard",
]
