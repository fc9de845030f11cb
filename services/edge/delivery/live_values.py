"""Newest-wins values on streams: what each value shows.

Sources in `ingest` report which value changed to the `ConflationRegistry`. A connection joins one
group for each kind of value that its route shows: quotes, bars, valuations of positions, accounts,
connection counts, services, metrics of items, and the values that other packages declare. Start
reading at `LiveValues.subscribe`.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from datetime import datetime
from functools import partial

from tapewire.events import PriceUpdated
from tapewire.log.light_objects import ExitList
from tapewire.payloads.market import QuoteView
from tapewire.payloads.positions import PositionView
from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.conflation_registry import (
    SINGLE_KEY,
    ConflationRegistry,
    GroupSpec,
)
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.frames import render_frame
from tapewire_services.edge.delivery.live_account import AccountGroups
from tapewire_services.edge.delivery.live_agents import agents_group
from tapewire_services.edge.delivery.live_bars import bars_group
from tapewire_services.edge.delivery.serializers import ApiFamily, SseMessage
from tapewire_services.edge.delivery.serializers.dashboard import metrics_view
from tapewire_services.edge.delivery.serializers.trading_views import (
    ConnectionCounts,
    InitialPrices,
    connection_counts_message,
    position_view,
    positions_message,
    price_view,
    quote_view,
    valuation_view,
)
from tapewire_services.edge.delivery.topics import LiveValue
from tapewire_services.edge.ingest.account_feed import AccountFeed
from tapewire_services.edge.ingest.agent_states import AgentStates
from tapewire_services.edge.ingest.bar_feed import BarFeed
from tapewire_services.edge.ingest.declared_values import (
    DeclaredValue,
    DeclaredValueFeed,
    KeysOfTags,
)
from tapewire_services.edge.ingest.item_metrics import ItemMetrics
from tapewire_services.edge.ingest.portfolios import PortfolioTracker
from tapewire_services.edge.ingest.quote_feed import QuoteFeed
from tapewire_services.edge.ingest.requested_symbols import RequestedSymbols

SINGLE_VALUE_UPDATES_PER_SECOND = 1.0
"""Rate of values that are the same for all readers: connection counts and item metrics."""
POSITION_VALUES = frozenset((LiveValue.VALUATIONS, LiveValue.ACCOUNT))
"""Values that are derived from the user's positions."""
STALE_KEY_PREFIX = "stale "
"""With the symbol, the key of a valuation whose price became stale."""
_SINGLE_KEYS = frozenset((SINGLE_KEY,))


class _ValuationKeys:
    """The keys of valuations, and of those stale prices that the stream does not show as such: it
    shows the prices of `priced_symbols` (None: of all)."""

    __slots__ = ("_priced_symbols",)

    def __init__(self, priced_symbols: Container[str] | None) -> None:
        self._priced_symbols = priced_symbols

    def __contains__(self, key: object) -> bool:
        symbol = str(key).removeprefix(STALE_KEY_PREFIX)
        return symbol == key or not (self._priced_symbols is None or symbol in self._priced_symbols)


class LiveValues:
    """All newest-wins values of a process, as connections see them. `get_as_of` is called for the
    event id of the end of the log tail."""

    def __init__(
        self,
        *,
        registry: ConflationRegistry,
        quote_feed: QuoteFeed,
        portfolios: PortfolioTracker,
        accounts: AccountFeed,
        get_as_of: Callable[[], str],
        item_metrics: ItemMetrics,
        declared_values: DeclaredValueFeed,
        bar_feed: BarFeed,
        agent_states: AgentStates,
        connection_counts: Callable[[], ConnectionCounts],
        now: Callable[[], datetime],
        retry_ms: int,
    ) -> None:
        self._registry = registry
        self._quote_feed = quote_feed
        self._portfolios = portfolios
        self._accounts = accounts
        self._account_groups = AccountGroups(accounts, get_as_of, now, self._render)
        self._item_metrics = item_metrics
        self._declared_values = declared_values
        self._bar_feed = bar_feed
        self._agent_states = agent_states
        self._connection_counts = connection_counts
        self._now = now
        self._retry_ms = retry_ms
        self._price_frames: dict[str, dict[str, tuple[PriceUpdated, bytes]]] = {}
        """By family and symbol: a quote, and its frame."""
        self._declared_frames: dict[tuple[str, str], tuple[DeclaredValue, bytes]] = {}
        """By owner and key: a declared value, and its frame."""

    def subscribe(
        self, connection: Connection, requested: ValueSubscription, joined: ExitList
    ) -> list[SseMessage]:
        """Send the values that it shows to `connection` until `joined` is ended. Return the
        messages that its stream begins with."""
        values, owner = connection.interest.live_values, connection.info.owner
        messages = self._initial_prices(connection, requested)
        if not POSITION_VALUES.isdisjoint(values) and owner is not None:
            joined.add(self._portfolios.watch(owner))
        if LiveValue.ACCOUNT in values and owner is not None:
            joined.add(self._accounts.watch(owner))
        if LiveValue.BARS in values:
            joined.add(self._bar_feed.watch(requested.bars))
        for spec in self._group_specs(connection, requested):
            joined.add(self._registry.join(spec, connection.outbox))
        return messages

    def requested_symbols(self, requested: ValueSubscription) -> RequestedSymbols | None:
        """The symbols whose prices are shown; None means all."""
        return self._quote_feed.request(requested.symbols)

    async def wait_until_loaded(self, connection: Connection) -> None:
        """Wait for what the connection's events are serialized with. Raises NotReady."""
        owner = connection.info.owner
        if LiveValue.VALUATIONS in connection.interest.live_values and owner is not None:
            await self._portfolios.wait_until_loaded(owner)

    def _initial_prices(
        self, connection: Connection, requested: ValueSubscription
    ) -> list[SseMessage]:
        if LiveValue.PRICES not in connection.interest.live_values:
            return []
        symbols = self._quote_feed.request(requested.symbols)
        initial = InitialPrices(
            quotes=[*map(self._quote_view, self._quote_feed.quotes(symbols))],
            symbols=None if symbols is None else symbols.names(),
            unknown=[] if symbols is None else symbols.find_unknown(),
            timestamp=self._now(),
        )
        return connection.route.family.initial_price_messages(initial)

    def _group_specs(
        self, connection: Connection, requested: ValueSubscription
    ) -> Iterator[GroupSpec]:
        values, owner = connection.interest.live_values, connection.info.owner
        if LiveValue.PRICES in values:
            yield self._prices(connection.route.family, requested)
        if LiveValue.BARS in values:
            yield bars_group(self._bar_feed, requested, self._render)
        if LiveValue.AGENTS in values:
            yield agents_group(self._agent_states, self._render)
        if LiveValue.VALUATIONS in values and owner is not None:
            yield self._valuations(connection, owner, requested)
        if LiveValue.ACCOUNT in values and owner is not None:
            yield self._account_groups.group(owner)
        if LiveValue.COUNTS in values:
            yield self._counts(include_users=connection.info.is_admin)
        if LiveValue.METRICS in values:
            yield self._metrics(connection.route.family)
        if connection.route.declared_value_tags and owner is not None:
            yield self._declared(owner, connection.route.declared_value_tags)

    def _prices(self, family: ApiFamily, requested: ValueSubscription) -> GroupSpec:
        return GroupSpec(
            value=LiveValue.PRICES,
            variant=(family.name, requested.symbols, requested.max_rate),
            max_rate=requested.max_rate,
            keys=self._quote_feed.request(requested.symbols),
            has_busy_window=True,
            render=partial(self._render_prices, family),
        )

    def _valuations(
        self, connection: Connection, owner: str, requested: ValueSubscription
    ) -> GroupSpec:
        # A connection that changes its rate leaves the group that would have sent the newest.
        has_changed = connection.has_pending_change
        shows_prices = LiveValue.PRICES in connection.interest.live_values
        priced_symbols = requested.symbols if shows_prices else frozenset[str]()
        keys = self._quote_feed.request(priced_symbols) if shows_prices else priced_symbols
        return GroupSpec(
            value=LiveValue.VALUATIONS,
            owner=owner,
            variant=(requested.max_rate, priced_symbols),
            max_rate=requested.max_rate,
            initial_keys=self._portfolios.valued_symbols(owner) if has_changed else frozenset(),
            keys=_ValuationKeys(keys),
            render=partial(self._render_valuations, connection.route.family, owner),
        )

    def _counts(self, *, include_users: bool) -> GroupSpec:
        return GroupSpec(
            value=LiveValue.COUNTS,
            variant=include_users,
            max_rate=SINGLE_VALUE_UPDATES_PER_SECOND,
            initial_keys=_SINGLE_KEYS,
            render=lambda _: self._render(
                connection_counts_message(
                    self._connection_counts(), self._now(), include_users=include_users
                )
            ),
        )

    def _metrics(self, family: ApiFamily) -> GroupSpec:
        return GroupSpec(
            value=LiveValue.METRICS,
            variant=family.item_metrics_name,
            max_rate=SINGLE_VALUE_UPDATES_PER_SECOND,
            initial_keys=_SINGLE_KEYS,
            render=partial(self._render_metrics, family.item_metrics_name),
        )

    def _declared(self, owner: str, tags: frozenset[str]) -> GroupSpec:
        return GroupSpec(
            value=LiveValue.DECLARED,
            owner=owner,
            variant=tags,
            keys=KeysOfTags(tags),
            initial_keys=self._declared_values.keys(owner, tags),
            render=partial(self._render_declared, owner),
        )

    def _render_prices(self, family: ApiFamily, symbols: Iterable[str]) -> bytes:
        """The frames of the newest quotes; each is rendered once per family."""
        frames = self._price_frames.setdefault(family.name, {})
        chunk = []
        for symbol in sorted(symbols):
            quote, cached = self._quote_feed.quote(symbol), frames.get(symbol)
            if quote is None:
                continue
            if self._quote_feed.is_stale(symbol):
                chunk.append(self._render(family.stale_price_message(self._quote_view(quote))))
                continue
            if cached is None or cached[0] is not quote:
                frame = self._render(family.price_message(price_view(quote)))
                cached = frames[symbol] = (quote, frame)
            chunk.append(cached[1])
        return b"".join(chunk)

    def _quote_view(self, quote: PriceUpdated) -> QuoteView:
        age = self._quote_feed.quote_age(quote, self._now())
        return quote_view(quote, age, is_stale=self._quote_feed.is_stale(quote.symbol))

    def _render_valuations(self, family: ApiFamily, owner: str, keys: Iterable[str]) -> bytes:
        """The prices that became stale, and one frame with all positions that changed."""
        frames, views = list[bytes](), list[PositionView]()
        for symbol in sorted({key.removeprefix(STALE_KEY_PREFIX) for key in keys}):
            quote = self._quote_feed.quote(symbol)
            if STALE_KEY_PREFIX + symbol in keys and quote and self._quote_feed.is_stale(symbol):
                frames.append(self._render(family.stale_price_message(self._quote_view(quote))))
            else:
                views.append(self._position_view(owner, symbol))
        if views:
            total_value = self._portfolios.total_value(owner)
            frames.append(self._render(positions_message(views, total_value, self._now())))
        return b"".join(frames)

    def _position_view(self, owner: str, symbol: str) -> PositionView:
        """The log tail's position, which may be ahead of the valuation, at its price."""
        valued = self._portfolios.valuation(owner, symbol)
        position = self._portfolios.position(owner, symbol)
        if position is None:
            return valuation_view(valued)
        is_stale = self._quote_feed.is_stale(symbol)
        return position_view(position, valued.current_price, is_stale=is_stale)

    def _render_metrics(self, event_name: str, _keys: Iterable[str]) -> bytes:
        metrics = self._item_metrics.current()
        return b"" if metrics is None else self._render((event_name, metrics_view(metrics)))

    def _render_declared(self, owner: str, keys: Iterable[str]) -> bytes:
        return b"".join(self._render_declared_value(owner, key) for key in sorted(keys))

    def _render_declared_value(self, owner: str, key: str) -> bytes:
        """The frame of a value, which is rendered once for all readers; empty if it is gone."""
        value = self._declared_values.value(owner, key)
        if value is None:
            return b""
        cached = self._declared_frames.get((value.owner, key))
        if cached is None or cached[0] is not value:
            cached = (value, self._render((value.event_name, value.event)))
            self._declared_frames[value.owner, key] = cached
        return cached[1]

    def _render(self, message: SseMessage) -> bytes:
        return render_frame(*message, retry_ms=self._retry_ms)
