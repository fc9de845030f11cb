"""The positions of connected users and their valuations, for the streams that show positions.

While a stream shows a user's positions, their view is loaded at the end of the log and kept current
by the log tail's events. The positions service values them; those valuations are followed as
newest-wins values. `PortfolioTracker` is also the `PricingContext` of serializers. Start reading at
`PortfolioTracker.watch`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal

import msgspec
import structlog

from tapewire.events import CODEC, Position, PositionValued
from tapewire.log import LatestValueStore, RecordedEvent, StoredValue
from tapewire.log.backoff import retry
from tapewire.log.light_objects import LightEvent, OnExit
from tapewire.log.value_follower import ValueFollower
from tapewire.log.view_checkpoints import apply_event
from tapewire.views import PositionsView
from tapewire.views.positions import sum_exact, value_position
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady
from tapewire_services.edge.ingest.quote_feed import QuoteFeed

LOAD_TIMEOUT_SECONDS = 0.5

logger = structlog.get_logger("edge.portfolios")


class Portfolio:
    """The positions of one user and their valuations, followed until `close`.

    `load_view` loads the positions at the end of the log. `on_change` is called with the symbol of
    every new valuation. `view` is None until it is loaded.
    """

    __slots__ = (
        "_load_task", "_load_view", "_loaded", "_on_change", "_rng", "_valuations_task",
        "valuations", "view", "watcher_count",
    )  # fmt: skip

    def __init__(
        self,
        valuation_store: LatestValueStore,
        load_view: Callable[[], Awaitable[PositionsView]],
        on_change: Callable[[str], None],
        rng: random.Random,
    ) -> None:
        self.watcher_count = 0
        self.view: PositionsView | None = None
        self.valuations: dict[str, PositionValued] = {}
        self._load_view = load_view
        self._on_change = on_change
        self._rng = rng
        self._loaded = LightEvent()
        follower = ValueFollower(valuation_store, self._receive, name="valuations", rng=rng)
        self._valuations_task = asyncio.create_task(follower.run())
        self._load_task: asyncio.Task[None] | None = asyncio.create_task(self._load())

    def close(self) -> None:
        self._valuations_task.cancel()
        self._stop_loading()

    def _stop_loading(self) -> None:
        if self._load_task is not None:
            self._load_task.cancel()

    def reload(self) -> None:
        """Load the positions again: the log was recreated."""
        self._stop_loading()
        self.view = None
        self._loaded.clear()
        self._load_task = asyncio.create_task(self._load())

    def apply(self, recorded: RecordedEvent) -> None:
        """Apply the next event of the log tail."""
        if self.view is not None:
            apply_event(self.view, recorded)

    async def wait_until_loaded(self) -> None:
        await self._loaded.wait()

    async def _load(self) -> None:
        self.view = await retry(self._load_view, self._rng, logger, "portfolios.load_failed")
        self._load_task = None
        self._loaded.set()

    def _receive(self, key: str, value: StoredValue) -> None:
        try:
            valued = CODEC.decode(value.data, PositionValued)
        except msgspec.DecodeError as error:
            logger.warning("portfolios.valuation_undecodable", name=key, error=str(error))
            return
        self.valuations[valued.symbol] = valued
        self._on_change(valued.symbol)


class PortfolioTracker:
    """The portfolios of all users that are watched on this process.

    `on_change` is called with the symbol and the owner of every new valuation, `on_stale` with
    those of a position whose price has become stale.
    """

    def __init__(
        self,
        *,
        views: LatestValueStore,
        user_valuations: Callable[[str], LatestValueStore],
        log_tail: LogTail,
        quote_feed: QuoteFeed,
        on_change: Callable[[str, str], None],
        on_stale: Callable[[str, str], None] = lambda _symbol, _owner: None,
        rng: random.Random,
    ) -> None:
        self._on_stale = on_stale
        self._views = views
        self._user_valuations = user_valuations
        self._log_tail = log_tail
        self._quote_feed = quote_feed
        self._on_change = on_change
        self._rng = rng
        self._by_owner: dict[str, Portfolio] = {}
        log_tail.subscribe(self._apply, domain=PositionsView.domain)
        log_tail.subscribe_recreated(self._on_log_recreated)

    def price(self, symbol: str) -> Decimal | None:
        """See `PricingContext`."""
        return self._quote_feed.price(symbol)

    def total_value(self, owner: str) -> Decimal | None:
        """See `PricingContext`; None unless the positions of `owner` are loaded."""
        view = self.view(owner)
        return None if view is None else total_market_value(view.open_positions(), self.price)

    def is_stale(self, symbol: str) -> bool:
        """See `PricingContext`."""
        return self._quote_feed.is_stale(symbol)

    def mark_stale(self, symbol: str) -> None:
        """Report that the price of `symbol` is stale to those who hold it."""
        for owner in self._holders(symbol):
            self._on_stale(symbol, owner)

    def mark_fresh(self, symbol: str) -> None:
        """Report that the price of `symbol` is no longer stale to those who hold it."""
        for owner in self._holders(symbol):
            self._on_change(symbol, owner)

    def _holders(self, symbol: str) -> list[str]:
        """The watched users whose position in `symbol` is valued and open."""
        return [
            owner
            for owner, portfolio in self._by_owner.items()
            if symbol in portfolio.valuations and portfolio.valuations[symbol].quantity
        ]

    def view(self, owner: str) -> PositionsView | None:
        """The positions of `owner`, as of the log tail; None until they are loaded."""
        portfolio = self._by_owner.get(owner)
        return None if portfolio is None else portfolio.view

    def position(self, owner: str, symbol: str) -> Position | None:
        """What `owner` holds of `symbol`, as of the log tail."""
        view = self.view(owner)
        return None if view is None else view.position(symbol)

    def valuation(self, owner: str, symbol: str) -> PositionValued:
        """The newest valuation; raises KeyError before the first one."""
        return self._by_owner[owner].valuations[symbol]

    def valued_symbols(self, owner: str) -> frozenset[str]:
        """The symbols that have a valuation."""
        portfolio = self._by_owner.get(owner)
        return frozenset() if portfolio is None else frozenset(portfolio.valuations)

    def watch(self, owner: str) -> OnExit:
        """Follow the positions of `owner` until the end of the context."""
        portfolio = self._by_owner.get(owner)
        if portfolio is None:
            portfolio = self._by_owner[owner] = self._open_portfolio(owner)
        portfolio.watcher_count += 1
        return OnExit(self._stop_watching, owner, portfolio)

    def _stop_watching(self, owner: str, portfolio: Portfolio) -> None:
        portfolio.watcher_count -= 1
        if not portfolio.watcher_count:
            del self._by_owner[owner]
            portfolio.close()

    async def wait_until_loaded(self, owner: str) -> None:
        """Wait for the positions of a watched user. Raises NotReady when that takes long."""
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_SECONDS):
                await self._by_owner[owner].wait_until_loaded()
        except TimeoutError:
            raise NotReady(f"the positions of {owner} cannot be read yet") from None

    def _open_portfolio(self, owner: str) -> Portfolio:
        return Portfolio(
            self._user_valuations(owner),
            lambda: self._log_tail.load_view(self._views, PositionsView, owner),
            lambda symbol: self._on_change(symbol, owner),
            self._rng,
        )

    def _apply(self, recorded: RecordedEvent) -> None:
        portfolio = self._by_owner.get(recorded.event_subject.owner)
        if portfolio is not None:
            portfolio.apply(recorded)

    def _on_log_recreated(self) -> None:
        for portfolio in self._by_owner.values():
            portfolio.reload()


def total_market_value(
    positions: Iterable[Position], price: Callable[[str], Decimal | None]
) -> Decimal:
    """The value of `positions` in dollars. A position without a price counts at its cost."""
    values = []
    for position in positions:
        quoted = price(position.symbol)
        values.append(
            position.cost_basis if quoted is None else value_position(position, quoted).value
        )
    return sum_exact(values)
