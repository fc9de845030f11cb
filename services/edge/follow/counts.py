"""Values that are one for everybody: how many are connected, and the metrics of analysed items.

Each is a lane with one key. The counts say how many connections all edge processes have together;
whose they are, only admins are told.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from services.edge.connection import Connection
from services.edge.feeds import Lane as Of
from services.edge.frames import RETRY_MS, frame
from services.edge.lanes import Wants
from services.edge.newest import Lane
from services.edge.roster import Totals

RATE = 1.0
"""Updates a second at the most."""
LOOK_SECONDS = 0.5
KEY = "newest"


class ClientCount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: str
    client_count: int


class Counted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many connections and users all processes have. `clients_per_user` is for admins."""

    timestamp: datetime
    total_clients: int
    total_users: int
    clients_per_user: list[ClientCount] | msgspec.UnsetType = msgspec.UNSET


def counted(totals: Totals, at: datetime, *, per_user: bool) -> Counted:
    """`totals` as clients see them."""
    of_users = [
        ClientCount(user_id=user, client_count=count)
        for user, count in sorted(totals.per_user.items())
    ]
    return Counted(
        timestamp=at,
        total_clients=totals.clients,
        total_users=totals.users,
        clients_per_user=of_users if per_user else msgspec.UNSET,
    )


class Counts:
    """Run it by `run`; connections are `shown` what they may see. `metrics` gives the payload of
    the dashboard's metrics, None while they are not known."""

    def __init__(
        self,
        *,
        totals: Callable[[], Totals],
        now: Callable[[], datetime],
        window_seconds: float,
        retry_ms: int = RETRY_MS,
        metrics: Callable[[], Any] = lambda: None,
    ) -> None:
        self._totals = totals
        self._now = now
        self._window = window_seconds
        self._retry_ms = retry_ms
        self._metrics = metrics
        self._lanes: dict[tuple[Of, bool], Lane] = {}

    async def run(self, version: Callable[[], int]) -> None:
        """Tell whenever `version` changed, until cancelled."""
        told = version()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if (newest := version()) != told:
                told = newest
                self.changed(Of.COUNTS)

    def changed(self, of: Of) -> None:
        """There is a newer value."""
        for (which, _), lane in self._lanes.items():
            if which is of:
                lane.changed(KEY)

    @contextlib.contextmanager
    def shown(self, of: Of, connection: Connection) -> Iterator[None]:
        """Let `connection` have the value, for the block: now, and when it changes."""
        kind = (of, of is Of.COUNTS and connection.opening.admin)
        lane = self._lanes.get(kind)
        if lane is None:
            wants = Wants(None, RATE, of.value)
            lane = self._lanes[kind] = Lane(wants, partial(self._newest, *kind), self._window)
        lane.members.add(connection.outbox)
        first = self._newest(*kind, (KEY,))
        if first:
            connection.outbox.offer(lane, first, frozenset((KEY,)))
        try:
            yield
        finally:
            connection.outbox.forget(lane)
            lane.members.discard(connection.outbox)
            if not lane.members:
                lane.close()
                self._lanes.pop(kind, None)

    def _newest(self, of: Of, per_user: bool, _keys: Iterable[str]) -> bytes:
        payload: Any = (
            counted(self._totals(), self._now(), per_user=per_user)
            if of is Of.COUNTS
            else self._metrics()
        )
        return b"" if payload is None else frame("metrics", payload, retry_ms=self._retry_ms)
