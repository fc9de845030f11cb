"""What goes along with a connection beside the events: newest-wins values, each in its lane.

Prices from the board, valuations from the portfolios, the counts of connections, the metrics of
analysed items, and the values of types that other packages declare.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime

from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.outbox import ValueSubscription
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.stream_routes import LiveValue
from tapewire_services.edge.ingest.declared_values import DeclaredValueFeed
from tapewire_services.edge.ingest.global_values import GlobalValueFeed
from tapewire_services.edge.ingest.portfolios import PortfolioTracker
from tapewire_services.edge.ingest.quote_feed import QuoteFeed


class LiveValueSources:
    """Every source of values of a process."""

    def __init__(
        self,
        *,
        quote_feed: QuoteFeed,
        portfolios: PortfolioTracker,
        global_values: GlobalValueFeed,
        declared_values: DeclaredValueFeed,
        now: Callable[[], datetime],
    ) -> None:
        self._quote_feed = quote_feed
        self._portfolios = portfolios
        self._global_values = global_values
        self._declared_values = declared_values
        self._now = now

    def subscribe(
        self, exit_stack: ExitStack, connection: Connection, subscription: ValueSubscription
    ) -> list[SseMessage]:
        """Let `connection` have its values until the end of the block; what to begin with."""
        lanes, outbox, told = connection.interest.live_values, connection.outbox, list[SseMessage]()
        family, owner = connection.route.family, connection.info.owner
        if LiveValue.PRICES in lanes:
            symbols = None if subscription.symbols is None else sorted(subscription.symbols)
            told += family.initial_price_messages(
                self._quote_feed.quotes(subscription.symbols), symbols, self._now()
            )
            lane = self._quote_feed.subscribe(outbox, subscription, family)
            exit_stack.callback(self._quote_feed.unsubscribe, outbox, lane)
        if LiveValue.VALUATIONS in lanes and owner is not None:
            self._portfolios.watch(owner)
            exit_stack.callback(self._portfolios.unwatch, owner)
            lane = self._portfolios.subscribe(owner, outbox, subscription.max_rate)
            exit_stack.callback(self._portfolios.unsubscribe, owner, outbox, lane)
        for of in (LiveValue.COUNTS, LiveValue.METRICS):
            if of in lanes:
                exit_stack.enter_context(self._global_values.subscribe(of, connection))
        if connection.route.declared_value_tags:
            exit_stack.enter_context(self._declared_values.subscribe(connection))
        return told

    async def wait_until_loaded(self, connection: Connection) -> None:
        """Return when all is known that the connection's events are told with. Raises NotYet."""
        owner = connection.info.owner
        if LiveValue.VALUATIONS in connection.interest.live_values and owner is not None:
            await self._portfolios.wait_until_loaded(owner)
