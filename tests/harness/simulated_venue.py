"""A venue that answers late, and the broker that adapts it: for races of fills with requests.

The venue's book is the truth of a trial. It executes when it is told to, cancels and replaces when
a request has arrived, and sends reports that take their time and may be sent again. `VenueBroker`
passes them on. Start at `SimulatedVenue.execute`.
"""

import asyncio
import random
from decimal import Decimal

import msgspec

from tapewire.brokers import Broker, BrokerReports, OpenOrder
from tapewire.events import OrderStatus, ReportedExecution
from tests.harness.order_builders import START


class VenueOrder(msgspec.Struct):
    """An order as its venue has it. `is_working`: it may be executed."""

    open_order: OpenOrder
    qty: Decimal
    filled_qty: Decimal = Decimal(0)
    is_working: bool = True
    is_canceled: bool = False
    executions: list[ReportedExecution] = []


class SimulatedVenue:
    """The book of a venue. It outlives its brokers."""

    def __init__(self, seed: int = 0) -> None:
        self.orders: dict[str, VenueOrder] = {}
        self.rng = random.Random(seed)

    def receive(self, open_order: OpenOrder) -> VenueOrder:
        """Take a new order, or find one that was sent before."""
        order = open_order.order
        return self.orders.setdefault(order.order_id, VenueOrder(open_order, order.qty))

    def execute(self, order_id: str, qty: Decimal, price: str = "100") -> ReportedExecution:
        """Execute a part of a working order."""
        order = self.orders[order_id]
        assert order.is_working
        order.filled_qty += qty
        order.is_working = order.filled_qty < order.qty
        execution = ReportedExecution(
            execution_id=f"{order_id[:6]}-{len(order.executions) + 1}",
            order_id=order_id,
            qty=qty,
            price=Decimal(price),
            timestamp=START,
            fee=Decimal("0.01"),
            venue_order_id=f"V-{order_id[:6]}",
            user=order.open_order.user,
        )
        order.executions.append(execution)
        return execution

    def replace(self, order: VenueOrder, qty: Decimal) -> bool:
        """Whether the order now has `qty` shares in all."""
        if qty != order.qty and not (order.is_working and qty > order.filled_qty):
            return False
        order.qty = qty
        return True

    def cancel(self, order: VenueOrder) -> bool:
        """Whether the rest of the order is canceled now."""
        if order.is_working:
            order.is_working, order.is_canceled = False, True
        return order.is_canceled


class VenueBroker(Broker):
    """Adapts a `SimulatedVenue` to the port. Reports take up to `max_delay` seconds."""

    confirms_at_once = False

    def __init__(self, venue: SimulatedVenue, max_delay: float) -> None:
        self._venue = venue
        self._max_delay = max_delay
        self._latest: dict[str, OpenOrder] = {}
        self._requests: asyncio.Queue[OpenOrder] = asyncio.Queue()
        self._reported: set[str] = set()

    @property
    def pending_count(self) -> int:
        return self._requests.qsize()

    def add_order(self, order: OpenOrder) -> None:
        self._latest[order.order.order_id] = order
        self._requests.put_nowait(order)

    def update_order(self, order: OpenOrder) -> None:
        before = self._latest.get(order.order.order_id)
        if before is not None and order.sequence > before.sequence:
            self._latest[order.order.order_id] = order
            self._requests.put_nowait(order)

    async def run(self, reports: BrokerReports) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer_requests(reports))
            tasks.create_task(self._report_executions(reports))

    async def _answer_requests(self, reports: BrokerReports) -> None:
        """Answer each request by what the venue does by the time that it has arrived."""
        while True:
            open_order = await self._requests.get()
            venue_order = self._venue.receive(open_order)
            await asyncio.sleep(self._venue.rng.uniform(0, self._max_delay))
            order = open_order.order
            if not open_order.accepted:
                await reports.accepted(open_order, "V")
            if order.replacement is not None:
                if self._venue.replace(venue_order, order.replacement.qty):
                    await reports.replaced(open_order)
                else:
                    await reports.replace_rejected(open_order, "too late to replace")
            if order.status is OrderStatus.PENDING_CANCEL:
                if self._venue.cancel(venue_order):
                    await reports.canceled(open_order, "canceled by the user")
                else:
                    await reports.cancel_rejected(open_order, "too late to cancel")

    async def _report_executions(self, reports: BrokerReports) -> None:
        """Report each execution late, and some of them twice."""
        while True:
            await asyncio.sleep(self._venue.rng.uniform(0.01, 0.02 + self._max_delay))
            for venue_order in list(self._venue.orders.values()):
                for execution in list(venue_order.executions):
                    if execution.execution_id in self._reported and self._venue.rng.random() < 0.9:
                        continue
                    await reports.executed(execution)
                    self._reported.add(execution.execution_id)
