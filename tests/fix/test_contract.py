"""The contract of a broker, which `tapewire.testing` has, against the FIX broker and QuickFIX."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest

from fix_broker import FixBroker, connection
from tapewire.brokers import Broker, BrokerContext
from tapewire.events import Side
from tapewire.testing.brokers import BrokerContract, VenueDriver, VenueOrder
from tests.fix.foreign_venue import ForeignVenue, Link, run_link


class FixVenueDriver(VenueDriver):
    """Drives a foreign venue, which answers nothing by itself, over a link that can be cut."""

    def __init__(self, venue: ForeignVenue) -> None:
        self._venue = venue
        self._stack = AsyncExitStack()
        self._link: Link | None = None
        self._last_execution: tuple[str, str] = ("", "")

    def make_broker(self, context: BrokerContext) -> Broker:
        return FixBroker(context)

    async def start(self) -> None:
        self._venue.do("set_policy", order="wait", cancel="wait", replace="wait")
        self._link = await self._stack.enter_async_context(run_link(self._venue.port))
        self.environment = self._venue.environment(self._link.port)

    async def stop(self) -> None:
        await self._stack.aclose()
        assert self._venue.describe()["faults"] == []

    async def accept(self, order_id: str) -> None:
        await self._wait_for_order(order_id)
        self._venue.do("accept", order=order_id)

    async def reject(self, order_id: str, reason: str) -> None:
        await self._wait_for_order(order_id)
        self._venue.do("reject", order=order_id, text=reason)

    async def execute(self, order_id: str, qty: Decimal, price: Decimal) -> None:
        await self._wait_for_order(order_id)
        seen = self._venue.execute(order_id, str(qty), str(price))
        self._last_execution = order_id, seen["orders"][order_id]["executions"][-1]["id"]

    async def repeat_last_execution(self) -> None:
        order_id, execution = self._last_execution
        self._venue.do("repeat", order=order_id, execution=execution)

    async def offer(self, order_ids: Sequence[str], qty: Decimal, price: Decimal) -> None:
        self._venue.do("offer", orders=list(order_ids), qty=str(qty), price=str(price))

    async def correct_last_execution(self, qty: Decimal, price: Decimal) -> None:
        order_id, execution = self._last_execution
        self._venue.correct(order_id, execution, str(qty), str(price))

    async def bust_last_execution(self) -> None:
        order_id, execution = self._last_execution
        self._venue.correct(order_id, execution, "0")

    async def repeat_last_correction(self) -> None:
        self._venue.do("repeat_correction")

    async def execute_unknown_order(self, qty: Decimal, price: Decimal) -> None:
        self._venue.do("report_unknown", qty=str(qty), price=str(price))

    async def cancel(self, order_id: str) -> None:
        await self._decide(order_id, "c", cancel="do")

    async def reject_cancel(self, order_id: str, reason: str) -> None:
        await self._decide(order_id, "c", reason, cancel="refuse")

    async def cancel_unasked(self, order_id: str, reason: str) -> None:
        await self._wait_for_order(order_id)
        self._venue.do("end", order=order_id, status="4", text=reason)

    async def replace(self, order_id: str) -> None:
        await self._decide(order_id, "r", replace="do")

    async def reject_replace(self, order_id: str, reason: str) -> None:
        await self._decide(order_id, "r", reason, replace="refuse")

    async def disconnect(self) -> None:
        assert self._link is not None
        self._link.is_refusing = True
        self._link.cut()

    async def reconnect(self) -> None:
        assert self._link is not None
        self._link.is_refusing = False

    async def find_orders(self, order_id: str) -> list[VenueOrder]:
        found = self._venue.describe()["orders"].get(order_id)
        if found is None:
            return []
        order = VenueOrder(
            symbol=found["symbol"],
            side=Side.BUY if found["side"] == "1" else Side.SELL,
            qty=Decimal(found["qty"]),
            limit_price=None if found["price"] == "None" else Decimal(found["price"]),
            reduce_only=found["is_reduce_only"],
        )
        return [order]

    async def _wait_for_order(self, order_id: str) -> None:
        await self._venue.wait_for("the order came", lambda seen: order_id in seen["orders"])

    async def _decide(self, order_id: str, kind: str, text: str = "", **policy: str) -> None:
        """Decide on a request once it has arrived."""
        await self._venue.wait_for(
            "the request came",
            lambda seen: any(id_.startswith(f"{order_id}-{kind}") for id_ in seen["waiting"]),
        )
        self._venue.do("set_policy", **policy)
        self._venue.do("decide", text=text)
        self._venue.do("set_policy", cancel="wait", replace="wait")


class TestFixBroker(BrokerContract):
    @pytest.fixture(autouse=True)
    def _use_venue(self, venue: ForeignVenue, monkeypatch: pytest.MonkeyPatch) -> None:
        # A killed process has no time to log out.
        monkeypatch.setattr(connection, "LOGOUT_SECONDS", 0.0)
        self._venue = venue

    def make_venue(self) -> VenueDriver:
        return FixVenueDriver(self._venue)
