"""Following the log for connections: snapshot, replay, splice, live, repair.

`tape` follows the end of the log for the whole process, `board` the market, `values` what other
packages show as values; `stream` is one connection's way along them, `beginning` where it starts.
Read `stream` first.
"""

from services.edge.follow.board import MOST_RATE, Board
from services.edge.follow.stream import Followers
from services.edge.follow.tape import Tape
from services.edge.follow.values import ValueBoard

__all__ = ["MOST_RATE", "Board", "Followers", "Tape", "ValueBoard"]
