"""The request that the price service answers: `svc.prices.status`."""

import msgspec

from tapewire.feeds import FaultLog
from tapewire.runtime import RequestContext
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.runner import FeedRunner

SERVICE = "prices"
LEASE_NAME = "price-feed"
BARS_LEASE_NAME = "bars"
STATUS_ENDPOINT = "status"


class GetStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask one process of the service for its status. The reply is a `Status`."""


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far a feed has come, as in `tapewire.feeds.FeedProgress`.

    `malformed` counts what could not be taken since the process started, and `malformed_by_reason`
    says why, in the words of `tapewire.values.FaultReason`, `tapewire.feeds.FeedFault` and the
    feed.
    """

    name: str
    rows: int
    malformed: int
    day: int
    ms: int
    ended: bool
    malformed_by_reason: dict[str, int] = {}


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The status of one process.

    `playing` is true while the process holds the lease; the others stand by with no symbols.
    `lost` counts quotes that could not be published because there was no connection.
    """

    playing: bool
    symbols: list[str]
    lost: int
    feed: FeedStatus


class PricesService:
    """Request handlers of the price service."""

    def __init__(
        self, runner: FeedRunner, publisher: PriceUpdatePublisher, faults: FaultLog
    ) -> None:
        self._runner = runner
        self._publisher = publisher
        self._faults = faults

    async def status(self, _request: GetStatus, _context: RequestContext) -> Status:
        """Handle `svc.prices.status`."""
        progress, faults = self._runner.progress(), self._faults.counts
        return Status(
            playing=self._runner.is_playing,
            symbols=self._runner.symbols(),
            lost=self._publisher.lost_count,
            feed=FeedStatus(
                name=progress.name,
                rows=progress.rows,
                malformed=faults.total(),
                day=progress.day,
                ms=progress.ms,
                ended=progress.ended,
                malformed_by_reason=dict(faults),
            ),
        )
