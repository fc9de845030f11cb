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

from tapewire_services.edge.cluster.presence import ConnectionTotals
from tapewire_services.edge.delivery.conflation import ConflationGroup
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.frames import DEFAULT_RETRY_MS, render_frame
from tapewire_services.edge.delivery.outbox import ValueSubscription
from tapewire_services.edge.delivery.stream_routes import LiveValue as Of

UPDATE_RATE = 1.0
"""Updates a second at the most."""
POLL_INTERVAL_SECONDS = 0.5
SINGLE_KEY = "newest"


class ClientCount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: str
    client_count: int


class ConnectionCountsPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many connections and users all processes have. `clients_per_user` is for admins."""

    timestamp: datetime
    total_clients: int
    total_users: int
    clients_per_user: list[ClientCount] | msgspec.UnsetType = msgspec.UNSET


def connection_counts(
    totals: ConnectionTotals, timestamp: datetime, *, include_users: bool
) -> ConnectionCountsPayload:
    """`totals` as clients see them."""
    of_users = [
        ClientCount(user_id=user, client_count=count)
        for user, count in sorted(totals.connections_per_user.items())
    ]
    return ConnectionCountsPayload(
        timestamp=timestamp,
        total_clients=totals.connection_count,
        total_users=totals.user_count,
        clients_per_user=of_users if include_users else msgspec.UNSET,
    )


class GlobalValueFeed:
    """Run it by `run`; connections are `shown` what they may see. `metrics` gives the payload of
    the dashboard's metrics, None while they are not known."""

    def __init__(
        self,
        *,
        connection_totals: Callable[[], ConnectionTotals],
        now: Callable[[], datetime],
        window_seconds: float,
        retry_ms: int = DEFAULT_RETRY_MS,
        item_metrics: Callable[[], Any] = lambda: None,
    ) -> None:
        self._connection_totals = connection_totals
        self._now = now
        self._window_seconds = window_seconds
        self._retry_ms = retry_ms
        self._item_metrics = item_metrics
        self._groups: dict[tuple[Of, bool], ConflationGroup] = {}

    async def run(self, version: Callable[[], int]) -> None:
        """Tell whenever `version` changed, until cancelled."""
        told = version()
        while True:
            await asyncio.sleep(POLL_INTERVAL_SECONDS)
            if (newest := version()) != told:
                told = newest
                self.mark_changed(Of.COUNTS)

    def mark_changed(self, value: Of) -> None:
        """There is a newer value."""
        for (which, _), lane in self._groups.items():
            if which is value:
                lane.mark_changed(SINGLE_KEY)

    @contextlib.contextmanager
    def subscribe(self, value: Of, connection: Connection) -> Iterator[None]:
        """Let `connection` have the value, for the block: now, and when it changes."""
        kind = (value, value is Of.COUNTS and connection.info.is_admin)
        lane = self._groups.get(kind)
        if lane is None:
            wants = ValueSubscription(None, UPDATE_RATE, value.value)
            lane = self._groups[kind] = ConflationGroup(
                wants, partial(self._render_latest, *kind), self._window_seconds
            )
        lane.outboxes.add(connection.outbox)
        first = self._render_latest(*kind, (SINGLE_KEY,))
        if first:
            connection.outbox.offer_chunk(lane, first, frozenset((SINGLE_KEY,)))
        try:
            yield
        finally:
            connection.outbox.discard_group(lane)
            lane.outboxes.discard(connection.outbox)
            if not lane.outboxes:
                lane.close()
                self._groups.pop(kind, None)

    def _render_latest(self, value: Of, include_users: bool, _keys: Iterable[str]) -> bytes:
        payload: Any = (
            connection_counts(self._connection_totals(), self._now(), include_users=include_users)
            if value is Of.COUNTS
            else self._item_metrics()
        )
        return b"" if payload is None else render_frame("metrics", payload, retry_ms=self._retry_ms)
