"""`FixBroker`: the port of Tapewire on one side, a FIX session on the other. Start at `run`."""

import asyncio
from datetime import timedelta
from functools import partial

from fix_broker.connection import FixConnection
from fix_broker.execution_reports import order_id_of
from fix_broker.messages import BadField, Message, Tag
from fix_broker.order_lanes import OrderLanes
from fix_broker.order_reporter import OrderReporter
from fix_broker.session_events import LogonAnswer, OrdersInDoubt, ReceivedMessage, SessionEvent
from fix_broker.settings import read_settings
from fix_broker.venue_order import VenueOrder
from tapewire.brokers import Broker, BrokerContext, BrokerReports, OpenOrder


class FixBroker(Broker):
    """Executes orders at a venue of FIX 4.4."""

    confirms_at_once = False

    def __init__(self, context: BrokerContext) -> None:
        """Read the settings. Raises BadSetting."""
        super().__init__(context)
        self._settings = read_settings(context.environment)
        self._logger = context.logger
        self._connection = FixConnection(self._settings, context)
        self._orders: dict[str, VenueOrder] = {}
        self._lanes = OrderLanes()

    @property
    def pending_count(self) -> int:
        return self._lanes.job_count

    def add_order(self, order: OpenOrder) -> None:
        added = VenueOrder(
            order,
            self._settings.account,
            self.context.clock,
            is_new=self._connection.is_logged_on and not order.accepted,
        )
        self._orders[added.order_id] = added
        self._send_what_is_due(added)

    def update_order(self, order: OpenOrder) -> None:
        known = self._orders.get(order.order.order_id)
        if known is not None:
            known.update(order)
            self._send_what_is_due(known)

    async def run(self, reports: BrokerReports) -> None:
        max_order_age = timedelta(seconds=self._settings.max_order_age_seconds)
        reporter = OrderReporter(self._logger, self.context.clock, reports, max_order_age)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lanes.run())
            tasks.create_task(self._connection.run(partial(self._handle_event, reporter)))

    def _handle_event(self, reporter: OrderReporter, event: SessionEvent) -> None:
        match event:
            case LogonAnswer() | OrdersInDoubt():
                for order in list(self._orders.values()):
                    order.doubt()
                    self._send_what_is_due(order)
            case ReceivedMessage():
                order_id = _find_order_id(event)
                self._lanes.submit(order_id, partial(self._process, reporter, order_id, event))

    async def _process(
        self, reporter: OrderReporter, order_id: str, received: ReceivedMessage
    ) -> None:
        message, order = received.message, self._orders.get(order_id)
        try:
            if order is None:
                await reporter.handle_without_order(message)
            else:
                await self._report(reporter, order, received)
        except BadField as error:
            self._logger.error("fix.bad_message", type=message.type, reason=str(error))
            self._connection.reject(message, error)
        self._connection.end_processing(received.receipt)

    async def _report(
        self, reporter: OrderReporter, order: VenueOrder, received: ReceivedMessage
    ) -> None:
        order.is_reporting = True
        try:
            await reporter.handle(order, received)
        finally:
            order.is_reporting = False
        self._send_what_is_due(order)

    def _send_what_is_due(self, order: VenueOrder) -> None:
        while self._connection.is_logged_on and (message := order.next_message()) is not None:
            self._connection.send(message)
        if order.is_done:
            self._orders.pop(order.order_id, None)


def _find_order_id(received: ReceivedMessage) -> str:
    """The order that a message is on; empty if it is on none."""
    message: Message = received.rejected or received.message
    return order_id_of(message.get(Tag.CL_ORD_ID) or "")
