"""Every stream of the edge as a row of data, for tests that hold for all streams.

`STREAM_CASES` lists the streams. `open_stream` opens one, and `read_initial_frames` reads it up to
the position where it goes live. `StreamCase.from_frames` computes the state that a client knows
from frames, and `StreamCase.from_log` computes the same state from the log.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tapewire.events import ItemAnalysed
from tapewire.log import RecordedEvent
from tapewire.log.view_checkpoints import apply_event
from tapewire.views import NotificationsView, OrdersView, PositionsView, StrategiesView
from tests.harness.sse import Frame
from tests.integration.edge.user_scenario import TICKER, UserScenario

VALUE_EVENTS = (
    "metrics",
    "item:metrics",
    "account:update",
    "price:update",
    "PRICE_UPDATE",
    "subscribed",
)
"""Frames of newest-wins values, which may arrive at any time."""

# The state that a client knows after some frames, and the same state from the log.


def _orders_from_frames(frames: Iterable[Any]) -> dict[str, str]:
    orders: dict[str, str] = {}
    for frame in frames:
        if frame.event in ("order:update", "order:fill"):
            if frame.data.get("snapshot"):
                orders = {}
            orders_of_frame = frame.data.get("orders", [frame.data])
            orders |= {one["orderId"]: one["status"] for one in orders_of_frame}
    return orders


def _orders_from_log(events: Sequence[RecordedEvent]) -> dict[str, str]:
    view = _fold_view(OrdersView(), events)
    return {one.order_id: one.status.value for one in view.orders()}


def _positions_from_frames(frames: Iterable[Any]) -> dict[str, int]:
    held: dict[str, int] = {}
    for frame in frames:
        if frame.event == "position:update":
            if frame.data.get("snapshot"):
                held = {}
            held |= {one["symbol"]: int(one["quantity"]) for one in frame.data["positions"]}
    return {symbol: quantity for symbol, quantity in held.items() if quantity}


def _positions_from_log(events: Sequence[RecordedEvent]) -> dict[str, int]:
    view = _fold_view(PositionsView(), events)
    return {one.symbol: int(one.quantity) for one in view.positions() if one.quantity}


def _strategies_from_frames(frames: Iterable[Any]) -> dict[str, tuple[str, int]]:
    known: dict[str, tuple[str, int]] = {}
    for frame in frames:
        if frame.event == "initial_state" or (frame.event or "").startswith("STRATEGY_"):
            strategies_of_frame = frame.data.get("strategies", [frame.data])
            known |= {
                one["strategy_id"]: (one["status"], int(one["position"]))
                for one in strategies_of_frame
            }
    return known


def _strategies_from_log(events: Sequence[RecordedEvent]) -> dict[str, tuple[str, int]]:
    view = _fold_view(StrategiesView(), events)
    return {one.strategy_id: (one.status.value, int(one.position)) for one in view.strategies()}


def _unread_from_frames(frames: Iterable[Any]) -> int:
    """Return the number of unread notifications; a snapshot does not contain their ids."""
    unread = 0
    for frame in frames:
        if frame.event == "notification:unread":
            unread = frame.data["unread"]
        elif frame.event == "notification":
            unread += 1
        elif frame.event == "notification:read":
            unread -= len(frame.data["ids"])
    return unread


def _unread_from_log(events: Sequence[RecordedEvent]) -> int:
    return int(_fold_view(NotificationsView(), events).unread_count)


def _fold_view(view: Any, events: Sequence[RecordedEvent]) -> Any:
    for recorded in events:
        if recorded.event_subject.domain == view.domain:
            apply_event(view, recorded)
    return view


def _values_from_frames(event: str, field: str) -> Callable[[Iterable[Any]], list[Any]]:
    def from_frames(frames: Iterable[Any]) -> list[Any]:
        return [frame.data[field] for frame in frames if frame.event == event]

    return from_frames


def _values_from_log(
    domain: str, name: Callable[[Any], Any]
) -> Callable[[Sequence[RecordedEvent]], Any]:
    def from_log(events: Sequence[RecordedEvent]) -> list[Any]:
        values = [name(one.event) for one in events if one.event_subject.domain == domain]
        return [one for one in values if one is not None]

    return from_log


def _item_id(event: Any) -> str | None:
    return event.item.id if isinstance(event, ItemAnalysed) else None


def _matching_item_id(event: Any) -> str | None:
    return event.item.id if _item_id(event) and TICKER in event.item.tickers else None


class StreamCase:
    """A stream. `domain` is that of its events; `is_snake_case` describes its field names."""

    def __init__(
        self,
        path: str,
        domain: str,
        from_frames: Callable[[Iterable[Any]], Any],
        from_log: Callable[[Sequence[RecordedEvent]], Any],
        *,
        is_public: bool = False,
    ) -> None:
        self.path = path
        self.domain = domain
        self.from_frames = from_frames
        self.from_log = from_log
        self.is_public = is_public
        self.is_snake_case = path.startswith("/sse/") or not path.startswith("/api/stream")

    def __repr__(self) -> str:
        return self.path

    def path_for(self, scenario: UserScenario) -> str:
        """Return the path for the strategy and the configuration of the user."""
        return self.path.format(strategy=scenario.strategy, configuration=scenario.configuration)


_DECISIONS = (
    _values_from_frames("ai:decision", "decisionId"),
    _values_from_log("decisions", lambda e: e.decision_id),
)
_STRATEGY_UPDATES = (
    _values_from_frames("strategy:update", "position"),
    _values_from_log("strategies", lambda event: event.strategy.position),
)
_ALERTS = (
    _values_from_frames("alert:new", "alertId"),
    _values_from_log("alerts", lambda event: event.alert_id),
)
_ORDERS, _POSITIONS = (
    (_orders_from_frames, _orders_from_log),
    (_positions_from_frames, _positions_from_log),
)
_STRATEGIES = (_strategies_from_frames, _strategies_from_log)
_NEW_ITEMS = _values_from_frames("new_item", "id")
_ITEMS = (_NEW_ITEMS, _values_from_log("items", _item_id))
_UNREAD = (_unread_from_frames, _unread_from_log)
_TOPICS = (
    "/api/stream?topics=orders,positions,strategies,alerts,ai-decisions,alert-rules,notifications,"
    "configurations,items,item-metrics,connections,prices:NONE"
)

STREAM_CASES = [
    StreamCase("/api/stream/orders", "orders", *_ORDERS),
    StreamCase("/api/stream/positions", "positions", *_POSITIONS),
    StreamCase("/api/stream/trading", "orders", *_ORDERS),
    StreamCase("/api/stream/trading?both", "positions", *_POSITIONS),
    StreamCase("/api/stream/ai-decisions", "decisions", *_DECISIONS),
    StreamCase("/api/stream/strategies", "strategies", *_STRATEGY_UPDATES),
    StreamCase("/api/stream/strategies/{strategy}", "strategies", *_STRATEGY_UPDATES),
    StreamCase("/api/stream/alerts", "alerts", *_ALERTS),
    StreamCase(_TOPICS, "orders", *_ORDERS),
    StreamCase(f"{_TOPICS}&and", "alerts", *_ALERTS),
    StreamCase(f"{_TOPICS}&inbox=and", "notifications", *_UNREAD),
    StreamCase(f"{_TOPICS}&news=and", "items", *_ITEMS, is_public=True),
    StreamCase("/sse/strategies", "strategies", *_STRATEGIES),
    StreamCase("/sse/strategies/reconnect", "strategies", *_STRATEGIES),
    StreamCase("/sse/strategy/{strategy}", "strategies", *_STRATEGIES),
    StreamCase("/api/v2/stream", "items", *_ITEMS, is_public=True),
    StreamCase(
        "/api/v2/configurations/{configuration}/stream",
        "items",
        _NEW_ITEMS,
        _values_from_log("items", _matching_item_id),
    ),
    StreamCase("/api/sse/notifications", "notifications", *_UNREAD),
]
DOMAINS = sorted({row.domain for row in STREAM_CASES})
UNIQUE_STREAM_CASES = [row for row in STREAM_CASES if not row.path.endswith(("both", "and"))]
"""Each stream once."""


async def open_stream(edge: Any, path: str, cookie: str | None = None, **how: Any) -> Any:
    """Open a stream of any API family, and read its first frames."""
    stream = await edge.connect(path, cookie, **how)
    assert stream.status == 200, (path, stream.status, await stream.body())
    assert (await stream.read()).retry is not None
    hello = "CONNECTED" if path.startswith("/sse/") else "connected"
    assert (await stream.read()).event == hello
    return stream


async def read_initial_frames(stream: Any) -> list[Any]:
    """Read the first frames up to the first id, without live values and keepalive comments."""
    frames: list[Frame] = []
    while not frames or frames[-1].id is None:
        frame = await stream.read()
        is_value = frame.comment is not None or frame.event in VALUE_EVENTS
        if not is_value or frame.id is not None:
            frames.append(frame)
    return frames
