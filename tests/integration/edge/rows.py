"""Every stream with ids as a row of a test table: how it is opened, and what a reader knows of it
after any frames, as against what the log says.

`ROWS` are the streams. `opened` opens one, `begun` reads it up to the place that it begins at,
`Row.told` gives what a reader of frames knows by then, and `Row.truth` the same from the log.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tapewire.events import ItemAnalysed
from tapewire.log import Recorded
from tapewire.log.views import fold
from tapewire.views import NotificationsView, OrdersView, PositionsView, StrategiesView
from tests.integration.edge.cast import TICKER, Cast

VALUES = ("metrics", "price:update", "PRICE_UPDATE", "subscribed")
"""Frames of newest-wins values, which may come at any time."""

# What a reader knows after some frames, and what the log says.


def _orders_told(frames: Iterable[Any]) -> dict[str, str]:
    orders: dict[str, str] = {}
    for frame in frames:
        if frame.event in ("order:update", "order:fill"):
            if frame.data.get("snapshot"):
                orders = {}
            told = frame.data.get("orders", [frame.data])
            orders |= {one["orderId"]: one["status"] for one in told}
    return orders


def _orders_true(events: Sequence[Recorded]) -> dict[str, str]:
    view = _folded(OrdersView(), events)
    return {one.order_id: one.status.value for one in view.orders()}


def _positions_told(frames: Iterable[Any]) -> dict[str, int]:
    held: dict[str, int] = {}
    for frame in frames:
        if frame.event == "position:update":
            if frame.data.get("snapshot"):
                held = {}
            held |= {one["symbol"]: int(one["quantity"]) for one in frame.data["positions"]}
    return {symbol: quantity for symbol, quantity in held.items() if quantity}


def _positions_true(events: Sequence[Recorded]) -> dict[str, int]:
    view = _folded(PositionsView(), events)
    return {one.symbol: int(one.quantity) for one in view.positions() if one.quantity}


def _strategies_told(frames: Iterable[Any]) -> dict[str, tuple[str, int]]:
    known: dict[str, tuple[str, int]] = {}
    for frame in frames:
        if frame.event == "initial_state" or (frame.event or "").startswith("STRATEGY_"):
            told = frame.data.get("strategies", [frame.data])
            known |= {one["strategy_id"]: (one["status"], int(one["position"])) for one in told}
    return known


def _strategies_true(events: Sequence[Recorded]) -> dict[str, tuple[str, int]]:
    view = _folded(StrategiesView(), events)
    return {one.strategy_id: (one.status.value, int(one.position)) for one in view.strategies()}


def _unread_told(frames: Iterable[Any]) -> int:
    """By number: a snapshot does not say which."""
    unread = 0
    for frame in frames:
        if frame.event == "notification:unread":
            unread = frame.data["unread"]
        elif frame.event == "notification":
            unread += 1
        elif frame.event == "notification:read":
            unread -= len(frame.data["ids"])
    return unread


def _unread_true(events: Sequence[Recorded]) -> int:
    return int(_folded(NotificationsView(), events).unread)


def _folded(view: Any, events: Sequence[Recorded]) -> Any:
    for recorded in events:
        if recorded.place.domain == view.domain:
            fold(view, recorded)
    return view


def _names(event: str, field: str) -> Callable[[Iterable[Any]], list[Any]]:
    def told(frames: Iterable[Any]) -> list[Any]:
        return [frame.data[field] for frame in frames if frame.event == event]

    return told


def _happenings(domain: str, name: Callable[[Any], Any]) -> Callable[[Sequence[Recorded]], Any]:
    def true(events: Sequence[Recorded]) -> list[Any]:
        shown = [name(one.event) for one in events if one.place.domain == domain]
        return [one for one in shown if one is not None]

    return true


def _every_item(event: Any) -> str | None:
    return event.item.id if isinstance(event, ItemAnalysed) else None


def _item_of_it(event: Any) -> str | None:
    return event.item.id if _every_item(event) and TICKER in event.item.tickers else None


class Row:
    """A stream. `domain` is what happens on it, `snake` says how its keys are written."""

    def __init__(
        self,
        path: str,
        domain: str,
        told: Callable[[Iterable[Any]], Any],
        truth: Callable[[Sequence[Recorded]], Any],
        *,
        open_to_all: bool = False,
    ) -> None:
        self.path = path
        self.domain = domain
        self.told = told
        self.truth = truth
        self.open_to_all = open_to_all
        self.snake = path.startswith("/sse/") or not path.startswith("/api/stream")
        self.hello = "CONNECTED" if path.startswith("/sse/") else "connected"

    def __repr__(self) -> str:
        return self.path

    def of(self, cast: Cast) -> str:
        """Its path, for a user's own strategy and configuration."""
        return self.path.format(strategy=cast.strategy, configuration=cast.configuration)


_DECISIONS = (
    _names("ai:decision", "decisionId"),
    _happenings("decisions", lambda e: e.decision_id),
)
_CHANGES = (
    _names("strategy:update", "position"),
    _happenings("strategies", lambda event: event.strategy.position),
)
_ALERTS = (_names("alert:new", "alertId"), _happenings("alerts", lambda event: event.alert_id))
_ORDERS, _POSITIONS = (_orders_told, _orders_true), (_positions_told, _positions_true)
_STRATEGIES = (_strategies_told, _strategies_true)
_NEW_ITEMS = _names("new_item", "id")
_TOPICS = "/api/stream?topics=orders,positions,strategies,alerts,ai-decisions,prices:NONE"

ROWS = [
    Row("/api/stream/orders", "orders", *_ORDERS),
    Row("/api/stream/positions", "positions", *_POSITIONS),
    Row("/api/stream/trading", "orders", *_ORDERS),
    Row("/api/stream/trading?both", "positions", *_POSITIONS),
    Row("/api/stream/ai-decisions", "decisions", *_DECISIONS),
    Row("/api/stream/strategies", "strategies", *_CHANGES),
    Row("/api/stream/strategies/{strategy}", "strategies", *_CHANGES),
    Row("/api/stream/alerts", "alerts", *_ALERTS),
    Row(_TOPICS, "orders", *_ORDERS),
    Row(f"{_TOPICS}&and", "alerts", *_ALERTS),
    Row("/sse/strategies", "strategies", *_STRATEGIES),
    Row("/sse/strategies/reconnect", "strategies", *_STRATEGIES),
    Row("/sse/strategy/{strategy}", "strategies", *_STRATEGIES),
    Row("/api/v2/stream", "items", _NEW_ITEMS, _happenings("items", _every_item), open_to_all=True),
    Row(
        "/api/v2/configurations/{configuration}/stream",
        "items",
        _NEW_ITEMS,
        _happenings("items", _item_of_it),
    ),
    Row("/api/sse/notifications", "notifications", _unread_told, _unread_true),
]
DOMAINS = sorted({row.domain for row in ROWS})
every_row = [row for row in ROWS if not row.path.endswith(("both", "and"))]
"""Each stream once."""


async def opened(edge: Any, path: str, cookie: str | None = None, **how: Any) -> Any:
    """An open stream of any family, its opening read."""
    stream = await edge.connect(path, cookie, **how)
    assert stream.status == 200, (path, stream.status, await stream.body())
    assert (await stream.read()).retry is not None
    hello = "CONNECTED" if path.startswith("/sse/") else "connected"
    assert (await stream.read()).event == hello
    return stream


async def begun(stream: Any) -> list[Any]:
    """What a stream begins with, up to the frame with the id of its place; values left out."""
    frames = []
    while not frames or frames[-1].id is None:
        frame = await stream.read()
        if frame.event not in VALUES or frame.id is not None:
            frames.append(frame)
    return frames
