"""Runs a broker on all users' orders, in the one process that holds the broker's lease.

A catch-up subscription reads all order events. `BrokerConsumer` folds them into the open orders
and passes each change to the broker; the broker's reports become events through `BrokerReporter`.
The open orders are checkpointed, and the next holder of the lease reads only what came later.

A broker may come from another package. When it fails, another one is made after a growing delay;
requests are answered meanwhile, and the service counts as degraded. One that goes on after it was
cancelled ends the process.

An order can be stored long after it was decided on: it waited in a message server that was
suspended, and its user was told that the outcome is unknown. Such an order is rejected instead of
being executed at a price that nobody has seen. Start at `BrokerRunner`.
"""

import contextlib
import random
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from tapewire.brokers import BadSetting
from tapewire.log import EventLog, LatestValueStore, pattern
from tapewire.log.backoff import new_rng
from tapewire.log.catch_up_subscription import CatchUpSubscription
from tapewire_services.orders.broker_consumer import BrokerConsumer, BrokerMaker
from tapewire_services.orders.broker_health import BrokerHealth
from tapewire_services.orders.broker_reporter import BrokerReporter
from tapewire_services.orders.broker_task import EndProcess, end_process, first_error
from tapewire_services.orders.paper_broker import PaperBroker

LEASE = "paper-broker"
"""The lease of the broker, whichever it is: processes of earlier versions know it by this name."""
ORDERS_FILTER = pattern(domain="orders")
CHECKPOINT_NAME = "book"
MAX_STORING_TIME = timedelta(seconds=10)
"""How long after its time an order may be stored. More than a request waits, and than the clocks of
a service and of the message server may differ."""


class BrokerRunner:
    """Runs one broker at a time. `run` it while holding the lease.

    Args:
        make_broker: returns a new broker. It is called when the lease is won, when the log was
            recreated, and after a broker has failed.
        max_storing_time: orders that were stored later than this after their time are rejected;
            None for a log whose clock has nothing to do with that of the orders.
        end_process: ends this process; called when a broker goes on after it was cancelled.
    """

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        reporter: BrokerReporter,
        make_broker: BrokerMaker,
        rng: random.Random | None = None,
        max_storing_time: timedelta | None = None,
        health: BrokerHealth | None = None,
        end_process: EndProcess = end_process,
    ) -> None:
        self.health = health or BrokerHealth()
        rng = rng or new_rng()
        self.subscription = CatchUpSubscription(
            log,
            checkpoint_store,
            name=CHECKPOINT_NAME,
            filter_=ORDERS_FILTER,
            make_consumer=lambda: BrokerConsumer(
                make_broker, reporter, max_storing_time, self.health, rng, end_process
            ),
            rng=rng,
        )

    async def run(self) -> None:
        """Work all orders until cancelled.

        Raises:
            BadSetting: the broker cannot be made with its settings.
        """
        try:
            await self.subscription.run()
        except ExceptionGroup as errors:
            # Not `except*`: some versions of Python 3.11 wrap what is raised there again.
            if isinstance(error := first_error(errors), BadSetting):
                raise error from None
            raise
        finally:
            self.health.clear()

    def pending_count(self) -> int:
        """The number of the broker's reports that wait or are in progress. Raises Unavailable
        before the broker has received all open orders."""
        return self.subscription.consumer.pending_count

    def hold_symbol(self, symbol: str) -> AbstractAsyncContextManager[None]:
        """Execute nothing of `symbol` within the block, which begins when nothing of it is being
        executed any more. Raises Unavailable while there is no broker."""
        broker = self.subscription.consumer.broker
        if isinstance(broker, PaperBroker):
            return broker.hold_symbol(symbol)
        return contextlib.nullcontext()

    def unsplit_count(self, symbol: str) -> int:
        """How many open orders have not the terms of the symbol's last split yet. Raises
        Unavailable before they are known."""
        return self.subscription.consumer.unsplit_count(symbol)
