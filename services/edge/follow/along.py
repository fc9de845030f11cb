"""What goes along with a connection beside the events: newest-wins values, each in its lane.

Prices from the board, valuations from the portfolios, the counts of connections, the metrics of
analysed items, and the values of types that other packages declare.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime

from services.edge.connection import Connection
from services.edge.dialects import Told
from services.edge.feeds import Lane
from services.edge.follow.board import Board
from services.edge.follow.counts import Counts
from services.edge.follow.portfolios import Portfolios
from services.edge.follow.values import ValueBoard
from services.edge.lanes import Wants


class Along:
    """Every source of values of a process."""

    def __init__(
        self,
        *,
        board: Board,
        portfolios: Portfolios,
        counts: Counts,
        values: ValueBoard,
        now: Callable[[], datetime],
    ) -> None:
        self._board = board
        self._portfolios = portfolios
        self._counts = counts
        self._values = values
        self._now = now

    def join(self, until: ExitStack, connection: Connection, wants: Wants) -> list[Told]:
        """Let `connection` have its values until the end of the block; what to begin with."""
        lanes, outbox, told = connection.interest.lanes, connection.outbox, list[Told]()
        family, owner = connection.feed.family, connection.opening.owner
        if Lane.PRICES in lanes:
            symbols = None if wants.symbols is None else sorted(wants.symbols)
            told += family.prices(self._board.prices(wants.symbols), symbols, self._now())
            lane = self._board.join(outbox, wants, family)
            until.callback(self._board.leave, outbox, lane)
        if Lane.VALUATIONS in lanes and owner is not None:
            self._portfolios.enter(owner)
            until.callback(self._portfolios.leave, owner)
            lane = self._portfolios.join(owner, outbox, wants.rate)
            until.callback(self._portfolios.part, owner, outbox, lane)
        for of in (Lane.COUNTS, Lane.METRICS):
            if of in lanes:
                until.enter_context(self._counts.shown(of, connection))
        if connection.feed.values:
            until.enter_context(self._values.shown(connection))
        return told

    async def known(self, connection: Connection) -> None:
        """Return when all is known that the connection's events are told with. Raises NotYet."""
        owner = connection.opening.owner
        if Lane.VALUATIONS in connection.interest.lanes and owner is not None:
            await self._portfolios.known(owner)
