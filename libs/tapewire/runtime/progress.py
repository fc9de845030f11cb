"""Reports how far the work of one lease has come; see `tapewire.runtime.contracts.progress`.

The holder of a lease answers `svc.{service}.progress` from its catch-up subscriptions, and from the
service's own count of work that is not in the log.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from tapewire.log import Unavailable
from tapewire.runtime.contracts.progress import PROGRESS, GetProgress, Progress
from tapewire.runtime.requests import Endpoint, RequestContext


class TrackedSubscription(Protocol):
    """A subscription that knows its last handled sequence."""

    filter: str

    @property
    def last_handled_sequence(self) -> int | None:
        """None while it does not run, or has not caught up."""


async def _flush_nothing() -> None:
    pass


class ProgressReporter:
    """Progress of the subscriptions of one lease.

    Args:
        flush: stores what the work has learnt, before the answer claims that it is stored.
        pending_count: counts work that is under way or waiting.
        quote_times: the time of the newest quote that was dealt with, by symbol.
    """

    def __init__(
        self,
        subscriptions: Sequence[TrackedSubscription],
        *,
        flush: Callable[[], Awaitable[None]] = _flush_nothing,
        pending_count: Callable[[], int] = lambda: 0,
        quote_times: Callable[[], Mapping[str, datetime]] = dict,
    ) -> None:
        self._subscriptions = subscriptions
        self._flush = flush
        self._pending_count = pending_count
        self._quote_times = quote_times

    def endpoints(self, verb: str = PROGRESS) -> dict[str, Endpoint[Any]]:
        """The endpoint to serve while the lease is held."""
        return {verb: Endpoint(GetProgress, self.get_progress)}

    async def get_progress(self, _request: GetProgress, _context: RequestContext) -> Progress:
        """The endpoint's handler.

        Raises:
            Unavailable: a subscription has not caught up yet.
            LogError: `flush` failed.
        """
        handled = {one.filter: one.last_handled_sequence for one in self._subscriptions}
        taken = {filter_: sequence for filter_, sequence in handled.items() if sequence is not None}
        if len(taken) < len(handled):
            raise Unavailable(f"still reading {', '.join(sorted(handled.keys() - taken.keys()))}")
        await self._flush()
        return Progress(busy=self._pending_count(), taken=taken, quotes=dict(self._quote_times()))
