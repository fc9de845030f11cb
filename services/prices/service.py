"""The request that the price service answers: `svc.prices.status`."""

import msgspec

from tapewire.runtime import RequestContext
from tapewire_services.prices.feed import FeedProgress, MarketDataFeed
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.runner import FeedRunner

SERVICE = "prices"
LEASE_NAME = "price-feed"
BARS_LEASE_NAME = "bars"
STATUS_ENDPOINT = "status"


class GetStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask one process of the service for its status. The reply is a `Status`."""


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The status of one process.

    `playing` is true while the process holds the lease; the others stand by with no symbols.
    `lost` counts quotes that could not be published because there was no connection.
    """

    playing: bool
    symbols: list[str]
    lost: int
    feed: FeedProgress


class PricesService:
    """Request handlers of the price service."""

    def __init__(
        self, feed: MarketDataFeed, runner: FeedRunner, publisher: PriceUpdatePublisher
    ) -> None:
        self._feed = feed
        self._runner = runner
        self._publisher = publisher

    async def status(self, _request: GetStatus, _context: RequestContext) -> Status:
        """Handle `svc.prices.status`."""
        return Status(
            playing=self._runner.is_playing,
            symbols=self._runner.symbols(),
            lost=self._publisher.lost_count,
            feed=self._feed.progress(),
        )
