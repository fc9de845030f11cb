"""Somebody whose streams clients read: how she signs in, and what happens to her."""

from dataclasses import dataclass

import httpx

from tapewire.events import Event
from tapewire.log import Meta, Subject, new_id
from tests.clients.readers import Wanted
from tests.integration.edge.house import Edge
from tests.integration.edge.market import Journal, placed
from tests.issuer import SECRET, Issuer

ORDERS = "/api/stream/orders"
SETTINGS = {"TAPEWIRE_JWT_SECRET": SECRET, "SSE_RETRY_MS": 100}
"""Of edges that take each way to sign in, and whose clients come back soon."""


@dataclass(frozen=True)
class Person:
    """Signs in at `edge`."""

    name: str
    edge: Edge
    base: str = ""
    """Where her clients reach the edge, when not directly."""

    async def wants(self, path: str, way: str, id_: str = "") -> Wanted:
        """A stream of hers, signed in by one of the ways: cookie, bearer or ticket."""
        headers, query = {}, ""
        if way == "bearer":
            headers["Authorization"] = f"Bearer {Issuer().token(self.name, 'HS256', seconds=3600)}"
        elif way == "cookie":
            headers["Cookie"] = f"session={await self.edge.sign_in(self.name)}"
        else:
            query = f"?ticket={await self._ticket()}"
        return Wanted(self.base or self.edge.url, path, headers, query, id_)

    async def _ticket(self) -> str:
        async with self.edge.client(await self.edge.sign_in(self.name)) as http:
            answer: httpx.Response = await http.post("/api/stream/ticket")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticket"])


async def happens(journal: Journal, owner: str, domain: str, entity: str, event: Event) -> int:
    """Append an event of `owner`; its sequence."""
    meta = Meta(id=new_id(), correlation="c-test")
    return await journal.put(Subject(owner, domain, entity), event, meta)


async def places(journal: Journal, name: str, *order_ids: str) -> list[int]:
    """Orders of `name`, one event each; their sequences."""
    return [await journal.append(name, placed(order_id)) for order_id in order_ids]


async def written(journal: Journal, name: str, after: int = 0) -> list[tuple[str, str]]:
    """What the log has of the orders of `name`: the id that each event must have, and which."""
    epoch = await journal.epoch()
    recorded = await journal.read(f"ev.{name}.orders.>", after)
    return [(f"{epoch}-{one.sequence}", one.event.order.order_id) for one in recorded]
