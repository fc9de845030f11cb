"""The accounts of connected users, for the streams that show them.

An account is derived from the user's positions, as `PortfolioTracker` has them, and from the newest
prices. While a stream shows it, it is calculated once a second, and reported if it has changed. A
trade and a price that becomes stale are reported at once. Where buying power is limited, the user's
open orders are followed too. Start reading at `AccountFeed.watch`.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

import structlog

from tapewire.log import LatestValueStore, RecordedEvent
from tapewire.log.backoff import retry
from tapewire.log.light_objects import OnExit
from tapewire.log.view_checkpoints import apply_event
from tapewire.runtime.contracts.positions import AccountFigures
from tapewire.views import OrdersView, PositionsView
from tapewire.views.account import AccountTerms, available_power, value_account
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady
from tapewire_services.edge.ingest.portfolios import PortfolioTracker

CHECK_INTERVAL_SECONDS = 1.0
"""How often an account is calculated at new prices."""
ACCOUNTS_PER_TURN = 32
"""Accounts that are calculated before other tasks get a turn."""

logger = structlog.get_logger("edge.accounts")


class _WatchedAccount:
    """An account that a stream shows, and a hash of the figures that were shown last. `orders` is
    None until it is loaded, or if no limit needs it."""

    __slots__ = ("load_task", "orders", "shown_hash", "watcher_count")

    def __init__(self) -> None:
        self.watcher_count = 0
        self.shown_hash: int | None = None
        self.orders: OrdersView | None = None
        self.load_task: asyncio.Task[None] | None = None

    def close(self) -> None:
        if self.load_task is not None:
            self.load_task.cancel()


class AccountFeed:
    """The accounts of all users that are watched on this process. `on_change` is called with the
    owner of an account that has changed, and whether that must not wait."""

    def __init__(
        self,
        *,
        views: LatestValueStore,
        log_tail: LogTail,
        portfolios: PortfolioTracker,
        terms: AccountTerms,
        on_change: Callable[[str, bool], None],
        rng: random.Random,
    ) -> None:
        self._views = views
        self._log_tail = log_tail
        self._portfolios = portfolios
        self._terms = terms
        self._on_change = on_change
        self._rng = rng
        self._by_owner: dict[str, _WatchedAccount] = {}
        log_tail.subscribe(self._report_trade, domain=PositionsView.domain)
        if terms.max_leverage is not None:
            log_tail.subscribe(self._apply_order, domain=OrdersView.domain)
        log_tail.subscribe_recreated(self._reload)

    def figures(self, owner: str) -> AccountFigures | None:
        """The account of a watched user at the end of the log tail and the newest prices, to be
        shown; None until it is loaded."""
        watched = self._by_owner.get(owner)
        if watched is None:
            return None
        figures = self._calculate(owner, watched)
        watched.shown_hash = None if figures is None else hash(figures)
        return figures

    def _calculate(self, owner: str, watched: _WatchedAccount) -> AccountFigures | None:
        view, terms = self._portfolios.view(owner), self._terms
        if view is None:
            return None
        if terms.max_leverage is not None and watched.orders is None:
            return None
        orders = [] if watched.orders is None else watched.orders.open_orders()
        price = self._portfolios.price
        value = value_account(view, terms, price, self._portfolios.is_stale)
        return AccountFigures(
            starting_balance=terms.starting_balance,
            cash=value.cash,
            equity=value.equity,
            gross_exposure=value.gross_exposure,
            net_exposure=value.net_exposure,
            realized_pnl=value.realized_pnl,
            unrealized_pnl=value.unrealized_pnl,
            fees=value.fees,
            buying_power=available_power(view, orders, value.equity, terms, price),
            stale=value.is_stale,
            unpriced=value.unpriced,
        )

    def watch(self, owner: str) -> OnExit:
        """Report changes of the account of `owner` until the end of the context. The user's
        positions must be watched meanwhile (`PortfolioTracker.watch`)."""
        watched = self._by_owner.get(owner)
        if watched is None:
            watched = self._by_owner[owner] = _WatchedAccount()
            self._start_loading(owner, watched)
        watched.watcher_count += 1
        return OnExit(self._stop_watching, owner, watched)

    def _stop_watching(self, owner: str, watched: _WatchedAccount) -> None:
        watched.watcher_count -= 1
        if not watched.watcher_count:
            del self._by_owner[owner]
            watched.close()

    def mark_stale(self, symbol: str) -> None:
        """Report the accounts that hold `symbol`, whose price is stale."""
        for owner in self._by_owner:
            position = self._portfolios.position(owner, symbol)
            if position is not None and position.quantity:
                self._on_change(owner, True)

    async def run(self) -> None:
        """Report accounts whose figures have changed, until cancelled."""
        while True:
            for number, (owner, watched) in enumerate([*self._by_owner.items()], 1):
                figures = self._calculate(owner, watched)
                if figures is not None and hash(figures) != watched.shown_hash:
                    self._on_change(owner, False)
                if not number % ACCOUNTS_PER_TURN:
                    await asyncio.sleep(0)
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)

    def _report_trade(self, recorded: RecordedEvent) -> None:
        owner = recorded.event_subject.owner
        if owner in self._by_owner:
            self._on_change(owner, True)

    def _apply_order(self, recorded: RecordedEvent) -> None:
        watched = self._by_owner.get(recorded.event_subject.owner)
        if watched is not None and watched.orders is not None:
            apply_event(watched.orders, recorded)
            self._on_change(recorded.event_subject.owner, False)

    def _reload(self) -> None:
        for owner, watched in self._by_owner.items():
            self._start_loading(owner, watched)

    def _start_loading(self, owner: str, watched: _WatchedAccount) -> None:
        watched.close()
        watched.orders = None
        watched.load_task = asyncio.create_task(self._load(owner, watched))

    async def _load(self, owner: str, watched: _WatchedAccount) -> None:
        """Wait for the positions, load the orders if they matter, and report the account."""
        if self._terms.max_leverage is not None:
            watched.orders = await retry(
                lambda: self._log_tail.load_view(self._views, OrdersView, owner),
                self._rng,
                logger,
                "accounts.load_failed",
            )
        with contextlib.suppress(NotReady):  # it is reported when it is loaded
            await self._portfolios.wait_until_loaded(owner)
        watched.load_task = None
        self._on_change(owner, True)
