"""The broker port: what executes orders, and what it reports to.

A broker receives the liquidity that earlier brokers consumed (`restore_consumed_liquidity`), what
users hold (`follow_positions`), then every open order in the order of the log (`add_order`,
`update_order`), and reports what it does (`BrokerReports`). `PaperBroker` is one.

An adapter of a real broker fits the same port. It sends each added order under the order's id.
After a restart it receives every open order again and asks its venue what became of each. An order
that is `pending_cancel`, or has a `replacement`, waits for the venue's answer: `CancelOrderCommand`
or `RejectCancelCommand`, `ConfirmReplaceCommand` or `RejectReplaceCommand`. What the venue executed
is reported by `BrokerReports.report_execution`, whatever the order's state. Start at `Broker`.
"""

from collections.abc import Iterable
from typing import Protocol

from tapewire.events import Order, ReportedExecution
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.net_positions import NetPositions
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity, OpenOrder

MAX_CONCURRENT_REPORTS = 64
"""Reports of one broker that are in progress at the same time, each on another order."""


class BrokerReports(Protocol):
    """What a broker reports to. Await one report on an order before the next one."""

    async def report(self, open_order: OpenOrder, command: Command) -> OpenOrder:
        """Decide a command on an order. Returns the order as the log then holds it, whether or not
        the command was accepted. It retries while the log is away."""

    async def report_execution(self, execution: ReportedExecution) -> Order | None:
        """Book what a venue executed, whatever the state of the order, once for each execution id.
        Returns the order; None if the execution fits none and is kept for operators. The venue may
        then be told that it was received."""


class Broker(Protocol):
    """Executes orders. A new broker is made whenever the lease is won or the log is recreated."""

    confirms_at_once: bool
    """Whether the broker does nothing but what the log says. A cancel and a replacement then take
    effect when they are requested; otherwise they are pending until the broker has answered."""

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        """Take over what earlier brokers executed against the newest quotes. Called once, first.
        A venue that keeps its own book ignores it."""

    def follow_positions(self, positions: NetPositions) -> None:
        """Take what users hold from `positions`, which is kept up to date with the log. Called
        once, before any order. A venue that knows its positions ignores it."""

    def add_order(self, order: OpenOrder) -> None:
        """Work an order that was just placed, or was open when this broker started. Must not
        block."""

    def update_order(self, order: OpenOrder) -> None:
        """Take over a later state of an added order; the last one is closed. It may result from
        this broker's own report, and may be older than what `report` returned."""

    async def run(self, reports: BrokerReports) -> None:
        """Execute orders until cancelled."""

    @property
    def pending_count(self) -> int:
        """The number of reports that wait or are in progress. Orders that wait for the market do
        not count."""
