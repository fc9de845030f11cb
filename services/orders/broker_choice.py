"""The broker that `TAPEWIRE_BROKER` names: the paper broker, or one of another package.

Every process of the service makes one at its start, to check its settings and to know whether it
confirms at once; the process that holds the lease makes those that run. Start at `BrokerChoice`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal

import msgspec
import structlog

from tapewire.brokers import BadSetting, Broker, BrokerContext, BrokerStore
from tapewire.log import LatestValueStore
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime.broker_settings import BrokerSettings
from tapewire.runtime.plugins import create_plugin
from tapewire_services.orders.broker_health import BrokerHealth
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.paper_broker import PaperBroker

ENTRY_POINT_GROUP = "tapewire.brokers"
SETTING = "TAPEWIRE_BROKER"
PAPER = "paper"


class BrokerChoice:
    """The chosen broker.

    Args:
        values: the store that keeps what a broker saves.
        holds_lease: whether this process holds the broker's lease.
        environment: the environment variables, for the settings of brokers of other packages.

    Raises:
        BadSetting: there is no such broker, it cannot be used, or its settings are bad.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        quote_cache: QuoteCache,
        values: LatestValueStore,
        health: BrokerHealth,
        holds_lease: Callable[[], bool],
        environment: Mapping[str, str],
    ) -> None:
        name = settings.broker
        self._settings = settings
        self._quote_cache = quote_cache
        logger = structlog.get_logger(f"orders.broker.{name}")
        self._context = BrokerContext(
            name=name,
            environment=environment,
            store=BrokerStore(values, name, logger, holds_lease),
            logger=logger,
            clock=lambda: datetime.now(UTC),
            set_problem=lambda _: None,
        )
        self.confirms_at_once = self.make_broker(OpenOrders()).confirms_at_once
        """Whether cancels and replacements take effect when they are requested."""
        # Only the problems of a broker that runs are those of the service.
        self._context = msgspec.structs.replace(self._context, set_problem=health.set_problem)

    def make_broker(self, open_orders: OpenOrders) -> Broker:
        """A new broker, which continues where earlier ones ended. Raises BadSetting."""
        if self._context.name == PAPER:
            return PaperBroker(
                self._quote_cache,
                fee_per_share=Decimal(str(self._settings.paper_fee_per_share)),
                day_end=time.fromisoformat(self._settings.paper_day_end),
            ).take_over(open_orders)
        broker = create_plugin(
            ENTRY_POINT_GROUP,
            self._context.name,
            self._context,
            port=Broker,
            setting=SETTING,
            built_in=[PAPER],
        )
        if not isinstance(broker, Broker):
            raise BadSetting(
                f"{SETTING}={self._context.name!r}: {type(broker).__module__}."
                f"{type(broker).__qualname__} is not derived from tapewire.brokers.Broker"
            )
        return broker
