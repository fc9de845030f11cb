"""How far the broker of this process is: `svc.orders.progress`, answered by who holds the lease."""

from tapewire.log import Unavailable
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.progress import GetProgress, Progress
from tapewire_services.orders.broker import Broker
from tapewire_services.orders.broker_consumer import ORDERS_FILTER, BrokerConsumer


class BrokerProgress:
    """Told of each broker that begins, and answers for the last one."""

    def __init__(self, quote_cache: QuoteCache) -> None:
        self._quote_cache = quote_cache
        self._consumer: BrokerConsumer | None = None
        self._broker: Broker | None = None

    def on_broker_started(self, consumer: BrokerConsumer, broker: Broker) -> None:
        """This broker works at this desk from now on."""
        self._consumer, self._broker = consumer, broker

    async def get_progress(self, _request: GetProgress, _context: RequestContext) -> Progress:
        """The endpoint. Raises Unavailable while the desk does not know all open orders yet.

        A broker hears of a quote as soon as the market has it, and is busy from there on.
        """
        if (
            self._consumer is None
            or self._broker is None
            or self._consumer.last_handled_sequence is None
        ):
            raise Unavailable("the broker is still reading the open orders")
        quotes = [self._quote_cache.quote(symbol) for symbol in self._quote_cache.symbols()]
        return Progress(
            busy=self._broker.pending_count,
            taken={ORDERS_FILTER: self._consumer.last_handled_sequence},
            quotes={quote.symbol: quote.timestamp for quote in quotes if quote is not None},
        )
