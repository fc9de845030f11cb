"""A user whose streams clients read: how the user signs in, and the user's events."""

from dataclasses import dataclass

import httpx

from tapewire.events import OrderEvent
from tests.clients.client_runs import DriverStreamRequest
from tests.harness.edge import EdgeProcess
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.publishers import EventLogDriver, order_placed
from tests.harness.recorded_log import event_of

ORDERS_PATH = "/api/stream/orders"
SETTINGS = {"TAPEWIRE_JWT_SECRET": HS256_SECRET, "SSE_RETRY_MS": 100}
"""Settings of edges that accept every sign-in method and announce a short reconnection time."""


@dataclass(frozen=True)
class StreamUser:
    """A user who signs in at `edge`."""

    name: str
    edge: EdgeProcess
    base: str = ""
    """The URL at which the user's clients reach the edge, if not directly."""

    async def stream_request(
        self, path: str, auth_method: str, last_event_id: str = ""
    ) -> DriverStreamRequest:
        """A stream of the user, authenticated by one of the methods cookie, bearer and ticket."""
        headers, query = {}, ""
        if auth_method == "bearer":
            headers["Authorization"] = (
                f"Bearer {JwtIssuer().token(self.name, 'HS256', seconds=3600)}"
            )
        elif auth_method == "cookie":
            headers["Cookie"] = f"session={await self.edge.sign_in(self.name)}"
        else:
            query = f"?ticket={await self._request_ticket()}"
        return DriverStreamRequest(self.base or self.edge.url, path, headers, query, last_event_id)

    async def _request_ticket(self) -> str:
        async with self.edge.client(await self.edge.sign_in(self.name)) as http:
            answer: httpx.Response = await http.post("/api/stream/ticket")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticket"])


async def append_orders(journal: EventLogDriver, user: str, *order_ids: str) -> list[int]:
    """Append one event for each order of `user`; return their sequences."""
    return [await journal.append(user, order_placed(order_id)) for order_id in order_ids]


async def expected_order_events(
    journal: EventLogDriver, user: str, after: int = 0
) -> list[tuple[str, str]]:
    """The order events of `user` in the log, as (event id, order id)."""
    epoch = await journal.epoch()
    recorded = await journal.read(f"ev.{user}.orders.>", after)
    return [
        (f"{epoch}-{one.sequence}", event_of(one, OrderEvent).order.order_id) for one in recorded
    ]
